"""Regular requests to an address that alerts when they stop: a dead process cannot report its own death."""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from orchestration import logs
from orchestration.outbound import OutboundRule, OutboundTransport, blocked
from orchestration.tls import shared_tls_context

_log = logs.get_logger(__name__)
_SECONDS = 10.0


class DeadManSwitch:
    """Pings a secret address. While a loop of the monitoring lags, it stays silent on purpose."""

    def __init__(
        self,
        url: Callable[[], str | None],
        healthy: Callable[[], bool],
        private: Callable[[], bool] = lambda: False,
    ) -> None:
        """`private` says whether a public name may lead to a private address."""
        self._private = private
        self._url = url
        self._healthy = healthy
        self._failure = logs.RepeatedFailure(_log.warning, "dead_man.unanswered")

    async def ping(self) -> bool:
        """Ping once; False if nothing was sent or answered. The first of several failures is logged."""
        url = self._url()
        if url is None or not self._healthy():
            return False
        try:
            transport = OutboundTransport(OutboundRule(private=self._private()), shared_tls_context())
            async with httpx2.AsyncClient(transport=transport, timeout=_SECONDS, trust_env=False) as client:
                answer = await client.get(url)
            problem = "" if answer.is_success else f"status {answer.status_code}"
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            problem = blocked(error) or type(error).__name__  # its text would show the address
        self._failure.note(problem and f"the dead-man address did not answer: {problem}")
        return not problem
