"""The vendors' own status pages as a signal, for the providers that are in use."""

from __future__ import annotations

from collections.abc import Iterable

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.monitoring.health.service_documents import ServiceState
from orchestration.monitoring.health.service_status import ServiceHealth, ServiceStatusReader


class ServiceStatusWatch:
    """Reads the pages; `last` is what they said. An answer that is unknown changes nothing: a page that is down is no
    news about the provider."""

    def __init__(self, reader: ServiceStatusReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self.last: dict[str, ServiceHealth] = {}

    async def collect(self) -> Iterable[Signal]:
        """One round."""
        names = self._reader.readable()
        self.last = {one.provider: one for one in await self._reader.read_all(names)}
        return [self._signal(one) for one in self.last.values() if one.state is not ServiceState.UNKNOWN]

    def _signal(self, health: ServiceHealth) -> Signal:
        evidence = {"announced": [outage.title for outage in health.outages], "sources": health.sources}
        value = float(health.state.is_trouble)
        return Signal("vendor_outage", self._clock.now(), value, {"provider": health.provider}, evidence)
