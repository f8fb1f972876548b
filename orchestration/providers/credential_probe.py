"""Whether a provider accepts a given key, at its configured address."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime

from orchestration.config.providers.settings import ProviderSettings
from orchestration.providers.endpoint import CallFailed, Endpoint
from orchestration.providers.endpoint_factory import make_endpoint
from orchestration.providers.failures import Failure


@dataclass(frozen=True, slots=True)
class OneCredential:
    """A source of credentials with one value under every name."""

    value: str = field(repr=False)

    def get(self, name: str) -> str | None:  # noqa: ARG002
        """The value."""
        return self.value


async def probe_key(name: str, settings: ProviderSettings, value: str, now: datetime) -> Failure | None:
    """Probe a provider with a key: None where it was accepted, else how the probe failed."""
    async with _opened(name, settings, value) as endpoint:
        try:
            await endpoint.probe(now)
        except CallFailed as error:
            return error.failure
    return None


async def accepts_any_key(name: str, settings: ProviderSettings, now: datetime) -> bool:
    """Whether a provider answers a probe with an invented key as well: then an accepted one proves nothing."""
    return await probe_key(name, settings, f"invented-{secrets.token_hex(16)}", now) is None


@contextlib.asynccontextmanager
async def _opened(name: str, settings: ProviderSettings, value: str) -> AsyncIterator[Endpoint]:
    endpoint = make_endpoint(name, settings, OneCredential(value))
    try:
        yield endpoint
    finally:
        await endpoint.aclose()
