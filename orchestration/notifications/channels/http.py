"""Posting JSON to a receiver, and reading its answer as: taken, later, or never."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

from orchestration.clock import Clock
from orchestration.notifications.channels.channel import DeliveryError

_MOST_ANSWER_BYTES = 2_000
_LONGEST_WAIT = 3600.0
# Too early, too many, and a time-out of the receiver's own: the same request may be taken later.
_LATER = {408, 425, 429}


class HttpPoster:
    """A connection to one receiver. It knows no proxy but its own, and follows no redirect: both could carry a secret
    to somebody else."""

    def __init__(self, clock: Clock, timeout: float) -> None:
        self._clock = clock
        self._client = httpx2.AsyncClient(timeout=timeout, trust_env=False, follow_redirects=False)

    async def post_json(self, url: str, data: Any, headers: Mapping[str, str] | None = None) -> None:
        """Post data as JSON. Raises DeliveryError."""
        await self.post(url, encode(data), {"content-type": "application/json", **(headers or {})})

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Post a body as it is. Raises DeliveryError."""
        host = _host(url)
        try:
            async with self._client.stream("POST", url, content=body, headers=dict(headers)) as response:
                if not response.is_success:
                    raise _refusal(response, await _beginning(response), host, self._clock.now())
        except httpx2.TransportError as error:
            message = f"{host} was not reached ({type(error).__name__})"
            raise DeliveryError(message, permanent=isinstance(error, httpx2.UnsupportedProtocol)) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise DeliveryError(f"{host} did not answer sensibly ({type(error).__name__})", permanent=False) from error

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def encode(data: Any) -> bytes:
    """JSON as it goes over the wire."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header, which is a number or a date; at most an hour."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdecimal() else _until(value, now)
    except ValueError:
        return None
    return min(_LONGEST_WAIT, max(0.0, seconds))


def _until(value: str, now: datetime) -> float:
    moment = parsedate_to_datetime(value)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()


def _refusal(response: httpx2.Response, answer: str, host: str, now: datetime) -> DeliveryError:
    status = response.status_code
    if response.is_redirect:
        return DeliveryError(f"{host} answered {status}, a redirect; use the address that it leads to", permanent=True)
    wait = retry_after(response.headers.get("retry-after"), now)
    permanent = status < 500 and status not in _LATER
    return DeliveryError(f"{host} answered {status}: {answer}".rstrip(": "), permanent=permanent, retry_after=wait)


async def _beginning(response: httpx2.Response) -> str:
    taken = b""
    async for chunk in response.aiter_bytes():
        taken += chunk
        if len(taken) >= _MOST_ANSWER_BYTES:
            break
    return " ".join(taken[:_MOST_ANSWER_BYTES].decode("utf-8", "replace").split())


def _host(url: str) -> str:
    """What may be shown of an address: its path is the secret of many receivers."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "the address") + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "the address"
