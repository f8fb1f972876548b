"""Requests to vendors: bounded in time and size, and every failure as one error that quotes no credential."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2

from orchestration.clock import Clock
from orchestration.errors import OrchestratorError
from orchestration.outbound import OutboundRule, OutboundTransport
from orchestration.tls import shared_tls_context

# A list of a hundred keys has some 40 kB; more than this is no answer of a vendor.
_MOST_BYTES = 1_000_000
_MOST_WAIT = 24 * 3600.0


class VendorError(OrchestratorError):
    """A vendor was not reached, or has refused. `permanent`: trying again changes nothing; `retry_after` in seconds."""

    def __init__(self, message: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class VendorAnswer:
    """An answer: its status, and the body as text, and as JSON where it is JSON."""

    host: str
    status: int
    text: str
    data: Any

    def refusal(self, code: str = "") -> VendorError:
        """The error for an answer that was not foreseen."""
        shown = f" ({code})" if code else ""
        return VendorError(f"{self.host} answered {self.status}{shown}", permanent=400 <= self.status < 500)


class VendorHttp:
    """The client of one vendor. It uses no proxy of the environment and follows no redirect: either could send a
    secret to another party."""

    def __init__(self, clock: Clock, timeout: float) -> None:
        self._clock = clock
        self._timeout = timeout
        self._client = httpx2.AsyncClient(
            # The operator names the vendor's address, or it is the vendor's own.
            transport=OutboundTransport(OutboundRule(private=True), shared_tls_context()),
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
        )

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> VendorAnswer:
        """Send a request. Raises VendorError if the vendor is not reached, is overloaded, or limits our requests."""
        host = _host(url)
        try:
            # The client's own limit is for each read; a server that drips bytes would never reach it.
            with anyio.fail_after(self._timeout):
                request = self._client.build_request(
                    method,
                    url,
                    headers=dict(headers or {}),
                    json=body,
                    data=dict(form) if form else None,
                    content=content,
                )
                response = await self._client.send(request, stream=True)
                try:
                    text = await _bounded(response)
                finally:
                    await response.aclose()
        except (httpx2.TransportError, TimeoutError) as error:
            raise VendorError(f"{host} was not reached ({type(error).__name__})") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            # Not the error's own text: it may quote a header.
            raise VendorError(f"the request to {host} failed ({type(error).__name__})") from None
        answer = VendorAnswer(host, response.status_code, text, _parsed(text))
        self._raise_unless_served(answer, response.headers)
        return answer

    def now(self) -> datetime:
        """The time, which AWS wants to see signed."""
        return self._clock.wall()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    def _raise_unless_served(self, answer: VendorAnswer, headers: Mapping[str, str]) -> None:
        # GitHub answers 403 as well as 429 when its limit is reached:
        # https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api.
        limited = answer.status == 429 or (answer.status == 403 and headers.get("x-ratelimit-remaining") == "0")
        if limited:
            wait = _wait(headers, self._clock.wall())
            raise VendorError(f"{answer.host} limits our requests ({answer.status})", retry_after=wait)
        if answer.status >= 500:
            raise VendorError(f"{answer.host} answered {answer.status}")
        if 300 <= answer.status < 400:
            raise VendorError(f"{answer.host} answered {answer.status}, a redirect; check the address", permanent=True)


async def _bounded(response: httpx2.Response) -> str:
    received = b""
    async for part in response.aiter_bytes():
        received += part
        if len(received) > _MOST_BYTES:
            raise httpx2.DecodingError("too large")
    return received.decode("utf-8", "replace")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait that a vendor asks for: `retry-after` as seconds or a date, or GitHub's time of the reset."""
    try:
        if (after := headers.get("retry-after")) is not None:
            seconds = float(after) if after.strip().isdecimal() else _until(after, now)
        elif (reset := headers.get("x-ratelimit-reset")) is not None:
            seconds = float(reset) - now.timestamp()
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return min(_MOST_WAIT, max(0.0, seconds))


def _until(text: str, now: datetime) -> float:
    moment = parsedate_to_datetime(text)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        return (parts.hostname or "the address") + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "the address"
