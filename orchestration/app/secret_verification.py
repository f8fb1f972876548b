"""Asking vendors whether the secrets that a scan has found are still accepted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import anyio

from orchestration.clock import SystemClock
from orchestration.config.credentials import read_env_file
from orchestration.config.loader import ConfigLoader
from orchestration.config.schema import Configuration
from orchestration.security.redaction import Redactor
from orchestration.security.vendors.registry import VendorRegistry, secret_kind
from orchestration.security.vendors.vendor import CredentialProbe, CredentialStatus

# Vendors limit how often they are asked by one address.
_AT_ONCE = 4
_NOT_ASKED = CredentialProbe(CredentialStatus.UNKNOWN, "its form does not tell whom to ask")


def project_vendors(config_file: str) -> VendorRegistry:
    """The vendors as the project's revokers reach them; at their own addresses where there is no configuration that
    can be read."""
    loader = ConfigLoader(Path(config_file), Redactor().find)
    configuration = loader.load().configuration or Configuration()
    variables, _ = read_env_file(loader.root / ".env")
    return VendorRegistry(lambda: configuration, variables, SystemClock())


async def verify(values: Iterable[str], vendors: VendorRegistry) -> dict[str, CredentialProbe]:
    """What the vendors say of each value. A value is sent to nobody but the vendor whose form it has."""
    found: dict[str, CredentialProbe] = {}
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def ask(value: str) -> None:
        async with limiter:
            found[value] = await vendors.probe("", secret_kind(value), value) or _NOT_ASKED

    async with anyio.create_task_group() as group:
        for value in dict.fromkeys(values):
            group.start_soon(ask, value)
    return found
