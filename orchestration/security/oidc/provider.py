"""The identity provider as it is reached over HTTP: its addresses, its keys, and the exchange of a code for a token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import anyio
import httpx2
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from orchestration.clock import Clock
from orchestration.config.access import OidcSettings
from orchestration.outbound import OutboundRule, OutboundTransport
from orchestration.security.oidc.claims import ExpectedToken, Identity, UnknownKeyError, read_identity
from orchestration.security.sign_in_locks import SignInError
from orchestration.tls import CertificateFilesError, tls_context

_SECONDS = 15.0
_MOST_BYTES = 1_000_000
# Providers change keys after announcing them for a day or so; an unknown key is asked for at once, but not more often
# than this, since anybody can send a token with an invented one.
_FRESH_SECONDS = 3600.0
_ASK_AGAIN_SECONDS = 60.0
_LOCAL = ("localhost", "127.0.0.1", "::1")


class IdentityProviderError(SignInError):
    """The identity provider is not reached, or does not answer as OpenID Connect wants it."""


@dataclass(frozen=True, slots=True)
class ProviderAddresses:
    """What the provider publishes of itself."""

    authorization: str
    token: str
    keys: str
    end_session: str


@dataclass(frozen=True, slots=True)
class CodeExchange:
    """A code that the browser brought, and what proves that it is ours."""

    code: str
    verifier: str
    redirect_uri: str
    nonce: str


class IdentityProvider:
    """One provider. `secret` is our password there; without one, PKCE alone proves that a code is ours."""

    def __init__(self, settings: OidcSettings, secret: Callable[[], str | None], clock: Clock) -> None:
        self.settings = settings
        self._secret = secret
        self._clock = clock
        self._lock = anyio.Lock()
        self._addresses: tuple[float, ProviderAddresses] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def addresses(self) -> ProviderAddresses:
        """What the provider publishes. Raises IdentityProviderError."""
        async with self._lock:
            if self._addresses is None or self._clock.monotonic() - self._addresses[0] > _FRESH_SECONDS:
                url = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
                self._addresses = self._clock.monotonic(), self._read(await self._send("GET", url))
            return self._addresses[1]

    async def identity(self, exchange: CodeExchange) -> Identity:
        """Who has signed in there. Raises SignInError."""
        answer = await self._exchange(exchange)
        token, settings = answer.get("id_token"), self.settings
        if not isinstance(token, str):
            raise IdentityProviderError("The identity provider sent no ID token.")
        now = self._clock.wall().timestamp()
        expected = ExpectedToken(settings.issuer, settings.client_id, exchange.nonce, settings.algorithms, now)
        try:
            return read_identity(token, await self._current_keys(_FRESH_SECONDS), expected)
        except UnknownKeyError:
            return read_identity(token, await self._current_keys(_ASK_AGAIN_SECONDS), expected)

    async def _exchange(self, exchange: CodeExchange) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": exchange.code,
            "redirect_uri": exchange.redirect_uri,
            "code_verifier": exchange.verifier,
            "client_id": self.settings.client_id,
        }
        if self.settings.client_secret_env is not None:
            secret = self._secret()
            if not secret:
                raise IdentityProviderError(f"{self.settings.client_secret_env} is not set. Ask an admin.")
            form["client_secret"] = secret
        return await self._send("POST", (await self.addresses()).token, form)

    async def _current_keys(self, seconds: float) -> KeySet:
        """The provider's keys, no older than this."""
        url = (await self.addresses()).keys
        async with self._lock:
            if self._keys is None or self._clock.monotonic() - self._keys[0] > seconds:
                try:
                    keys = KeySet.import_key_set(await self._send("GET", url))  # type: ignore[arg-type]
                except (JoseError, ValueError, TypeError, KeyError) as error:
                    raise IdentityProviderError("The identity provider's keys cannot be used.") from error
                self._keys = self._clock.monotonic(), keys
            return self._keys[1]

    def _read(self, document: Mapping[str, Any]) -> ProviderAddresses:
        if document.get("issuer") != self.settings.issuer:
            raise IdentityProviderError("The identity provider calls itself otherwise than access.oidc.issuer.")
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        found = [document.get(name) for name in names]
        if not all(isinstance(one, str) and is_protected(one) for one in found):
            raise IdentityProviderError("The identity provider has no https:// address for one of its services.")
        authorization, token, keys = map(str, found)
        end = document.get("end_session_endpoint")
        return ProviderAddresses(authorization, token, keys, end if isinstance(end, str) and is_protected(end) else "")

    async def _send(self, method: str, url: str, form: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        settings = self.settings
        host = urlsplit(settings.issuer).hostname or ""
        rule = OutboundRule(private=settings.private_network, hosts=frozenset({host}))
        try:
            transport = OutboundTransport(rule, tls_context(settings.ca_file, None, None))
            async with httpx2.AsyncClient(transport=transport, trust_env=False, timeout=_SECONDS) as client:
                with anyio.fail_after(_SECONDS):
                    status, body = await _answer(client, method, url, form)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, CertificateFilesError) as error:
            # Not the error's own text: it may quote an address with a code.
            raise IdentityProviderError(f"The identity provider was not reached ({type(error).__name__}).") from None
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if status != 200 or not isinstance(document, dict):
            raise IdentityProviderError(f"The identity provider refused: it answered {status}.")
        return document


def is_protected(url: str) -> bool:
    """Whether nobody on the way can read or change what is sent to an address."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
        )
    except ValueError:
        return False


def with_query(url: str, values: Mapping[str, str]) -> str:
    """An address with more in its query."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(values)}"


async def _answer(
    client: httpx2.AsyncClient, method: str, url: str, form: Mapping[str, str] | None
) -> tuple[int, bytes]:
    received = b""
    async with client.stream(method, url, data=dict(form) if form else None) as response:
        async for part in response.aiter_bytes():
            received += part
            if len(received) > _MOST_BYTES:
                raise httpx2.DecodingError("too large")
        return response.status_code, received
