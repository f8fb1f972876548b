"""What the vendors of the configured providers report about themselves, for the console and the health checks."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.clock import Clock
from orchestration.config.credentials import EnvironmentCredentials
from orchestration.config.schema import Configuration
from orchestration.errors import NotFoundError
from orchestration.monitoring.health.service_status import ServiceHealth, ServiceStatusReader


async def read_service_health(
    configuration: Configuration, credentials: EnvironmentCredentials, clock: Clock, names: Sequence[str] = ()
) -> list[ServiceHealth]:
    """What is said about the named providers, or about all that have a page. Raises NotFoundError for an unknown
    name."""
    known = configuration.runtime.providers
    for name in names:
        if name not in known:
            raise NotFoundError(f"There is no provider '{name}'. Configured providers: {', '.join(known)}.")
    reader = ServiceStatusReader(lambda: configuration, credentials, clock)
    readable = reader.readable()
    return await reader.read_all([name for name in dict.fromkeys(names) if name in readable] if names else readable)
