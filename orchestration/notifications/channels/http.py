"""Posting JSON to a receiver, and classifying its answer: accepted, send again later, or rejected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

from orchestration.clock import Clock
from orchestration.config.channels.settings import ChannelSettings
from orchestration.notifications.channels.channel import DeliveryError
from orchestration.notifications.channels.tls import tls_context
from orchestration.outbound import OutboundRule, OutboundTransport, blocked
from orchestration.tls import distrust, shared_tls_context

# Enough for any error message; a receiver must not be able to fill our memory or the audit trail.
_MAX_ANSWER_BYTES = 2_000
# The most of an answer that is read for what it holds, such as the message that was posted.
_MAX_JSON_BYTES = 1_000_000
# A Retry-After of days, by mistake or by intent, must not silence a page.
_MAX_WAIT = 3600.0
# Request Timeout, Too Early (RFC 8470) and Too Many Requests: the same request may be accepted later.
_RETRYABLE = {408, 425, 429}
_REDIRECTS = {301, 302, 303, 307, 308}
# Nothing of the message was handed over when one of these ended the attempt.
_BEFORE_THE_REQUEST = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)
# A proxy gave up waiting for the receiver, which may have accepted (RFC 9110, 15.6.5).
_GATEWAY_TIMEOUT = 504


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """What a receiver has answered, whatever its status; of a long answer the beginning. `host` is the part of its
    address that may be shown."""

    host: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The JSON that was answered. Raises DeliveryError."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            message = f"{self.host} sent an invalid answer (not JSON)"
            raise DeliveryError(message, permanent=False, unclear=True) from error


class HttpPoster:
    """A connection to one receiver. It uses no proxy of the environment and follows no redirect: either could send a
    secret to another party."""

    def __init__(self, clock: Clock, settings: ChannelSettings) -> None:
        self._clock = clock
        self._settings = settings
        self._made: httpx2.AsyncClient | None = None

    async def post_json(self, url: str, data: Any, headers: Mapping[str, str] | None = None) -> None:
        """Post data as JSON. Raises DeliveryError."""
        await self.post(url, encode(data), {"content-type": "application/json", **(headers or {})})

    async def call_json(self, url: str, data: Any, headers: Mapping[str, str]) -> dict[str, Any]:
        """Post data as JSON, and return the JSON object that is answered. Raises DeliveryError."""
        # With the character set, for which Slack asks: https://docs.slack.dev/apis/web-api/#slack-web-api__basics.
        kind = {"content-type": "application/json; charset=utf-8"}
        answer = await self.post(url, encode(data), {**kind, **headers}, keep=_MAX_JSON_BYTES)
        try:
            found = json.loads(answer)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            message = f"{_host(url)} sent an invalid answer (not a JSON object)"
            raise DeliveryError(message, permanent=False, unclear=True)
        return found

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], keep: int = 0) -> bytes:
        """Post a body as it is; returns about so many bytes of the answer as are to be kept. Raises DeliveryError."""
        answer = await self.request("POST", url, body, headers, keep)
        if not answer.accepted:
            raise refusal(answer, self._clock.wall())
        return answer.body

    async def request(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], keep: int = _MAX_JSON_BYTES
    ) -> ReceiverAnswer:
        """Make a request; returns the answer, of a success about `keep` bytes. Raises DeliveryError where there is no
        answer."""
        host = _host(url)
        try:
            async with self._client().stream(method, url, content=body, headers=dict(headers)) as response:
                most = keep if response.is_success else _MAX_ANSWER_BYTES
                kept = await _first_bytes(response, most) if most else b""
                return ReceiverAnswer(host, response.status_code, response.headers, kept)
        except httpx2.TransportError as error:
            refused = blocked(error)
            unclear = not refused and not isinstance(error, _BEFORE_THE_REQUEST)
            reason = refused or distrust(error) or type(error).__name__
            message = f"{host} sent no answer ({reason})" if unclear else f"{host} was not reached ({reason})"
            permanent = bool(refused) or isinstance(error, httpx2.UnsupportedProtocol)
            raise DeliveryError(message, permanent=permanent, unclear=unclear) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            message = f"{host} sent an invalid answer ({type(error).__name__})"
            raise DeliveryError(message, permanent=False, unclear=True) from error

    async def aclose(self) -> None:
        """Close every connection."""
        if self._made is not None:
            await self._made.aclose()

    def _client(self) -> httpx2.AsyncClient:
        # Not made at once: a file with certificates that cannot be read concerns a delivery, not the whole start.
        if self._made is None:
            self._made = httpx2.AsyncClient(
                transport=OutboundTransport(
                    OutboundRule(private=self._settings.private_network),
                    tls_context(self._settings) or shared_tls_context(),
                ),
                timeout=self._settings.timeout,
                trust_env=False,
                follow_redirects=False,
            )
        return self._made


def encode(data: Any) -> bytes:
    """Compact JSON in UTF-8. Lone surrogates, which cannot be encoded, are escaped instead of losing the message."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds of a Retry-After header, which is a number or a date (RFC 9110, 10.2.3); at most an hour."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdecimal() else _until(value, now)
    except ValueError:
        return None
    return min(_MAX_WAIT, max(0.0, seconds))


def _until(value: str, now: datetime) -> float:
    moment = parsedate_to_datetime(value)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()


def refusal(answer: ReceiverAnswer, now: datetime) -> DeliveryError:
    """The error of an answer that is no success."""
    host, status = answer.host, answer.status
    if status in _REDIRECTS and "location" in answer.headers:
        return DeliveryError(f"{host} answered {status}, a redirect; use the address that it leads to", permanent=True)
    wait = retry_after(answer.headers.get("retry-after"), now)
    permanent = status < 500 and status not in _RETRYABLE
    return DeliveryError(
        f"{host} answered {status}: {_on_one_line(answer.body)}".rstrip(": "),
        permanent=permanent,
        retry_after=wait,
        unclear=status == _GATEWAY_TIMEOUT,
        status=status,
    )


async def _first_bytes(response: httpx2.Response, at_most: int) -> bytes:
    received = b""
    async for chunk in response.aiter_bytes():
        received += chunk
        if len(received) >= at_most:
            break
    return received[:at_most]


def _on_one_line(answer: bytes) -> str:
    return " ".join(answer.decode("utf-8", "replace").split())


def _host(url: str) -> str:
    """The part of a URL that may be shown: for many receivers the path is the secret."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "the address") + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "the address"
