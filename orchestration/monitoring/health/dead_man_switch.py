"""The watcher is watched: a request to an address that complains when the requests stop coming."""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from orchestration import logs

_log = logs.get_logger(__name__)
_SECONDS = 10.0


class DeadManSwitch:
    """Asks for an address that is a secret. While something of ours lags, it keeps silent on purpose."""

    def __init__(self, url: Callable[[], str | None], healthy: Callable[[], bool]) -> None:
        self._url = url
        self._healthy = healthy
        self._failed = False

    async def ping(self) -> bool:
        """Ask once; False when nothing was sent or nobody answered. Tells the log when that begins and ends."""
        url = self._url()
        if url is None or not self._healthy():
            return False
        try:
            async with httpx2.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
                answer = await client.get(url)
            problem = "" if answer.is_success else f"status {answer.status_code}"
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            problem = type(error).__name__  # its text would show the address
        if problem and not self._failed:
            _log.warning("dead_man.unanswered", message=f"expected an answer from the dead-man address, got {problem}")
        self._failed = bool(problem)
        return not problem
