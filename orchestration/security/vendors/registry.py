"""Which vendor an exposed credential belongs to, and whether a revoker is configured for it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pkgutil import resolve_name

from orchestration.clock import Clock
from orchestration.config.credentials import CredentialSource
from orchestration.config.schema import Configuration
from orchestration.config.vendors.descriptor import RevocationPage, VendorDescriptor
from orchestration.config.vendors.kinds import find_vendor, vendor_of_kind
from orchestration.config.vendors.settings import RevokerSettings
from orchestration.security.redaction import Redactor
from orchestration.security.vendors.http import VendorError, VendorHttp
from orchestration.security.vendors.vendor import CredentialProbe, CredentialStatus, CredentialVendor

_PATTERNS = Redactor()


@dataclass(frozen=True, slots=True)
class VendorMatch:
    """A vendor, with the settings that reach it. `revoker` is the name of the configured one; empty where the form of
    the credential alone tells the vendor: then it is probed, and never revoked."""

    descriptor: VendorDescriptor
    settings: RevokerSettings
    revoker: str = ""

    @property
    def can_revoke(self) -> bool:
        """Whether a revocation may be requested: the user has configured it, and the vendor has a call for it."""
        return bool(self.revoker) and self.descriptor.revokes

    @property
    def page(self) -> RevocationPage:
        """Where a person does it."""
        return self.descriptor.page


class VendorRegistry:
    """Finds the vendor of a credential, by the configuration of the moment."""

    def __init__(self, configuration: Callable[[], Configuration], credentials: CredentialSource, clock: Clock) -> None:
        self._configuration = configuration
        self._credentials = credentials
        self._clock = clock

    def find(self, variable: str, kind: str) -> VendorMatch | None:
        """The vendor of the variable's value, or of a secret of that kind; None where nothing tells it."""
        known = [
            VendorMatch(vendor, settings, name)
            for name, settings in self._configuration().revokers.items()
            if settings.enabled and (vendor := find_vendor(settings.vendor)) is not None
        ]
        for match in known:
            if variable and variable in match.settings.variables:
                return match
        for match in known:
            if not match.settings.variables and kind in match.descriptor.kinds:
                return match
        vendor = vendor_of_kind(kind)
        return None if vendor is None else VendorMatch(vendor, RevokerSettings(vendor=vendor.name))

    def is_configured(self, variable: str) -> bool:
        """Whether a revoker names the variable."""
        return any(variable in one.variables for one in self._configuration().revokers.values() if one.enabled)

    async def probe(self, variable: str, kind: str, value: str) -> CredentialProbe | None:
        """What the vendor of a value says of it; None where nothing tells the vendor."""
        match = self.find(variable, kind)
        if match is None:
            return None
        try:
            async with self.connected(match) as vendor:
                return await vendor.probe(value)
        except VendorError as error:
            return CredentialProbe(CredentialStatus.UNKNOWN, str(error), error.retry_after)

    @asynccontextmanager
    async def connected(self, match: VendorMatch) -> AsyncIterator[CredentialVendor]:
        """The vendor, for as long as the block lasts. Raises VendorError if it cannot be asked at all."""
        http = VendorHttp(self._clock, match.settings.timeout)
        async with contextlib.aclosing(http):
            yield self._made(match, http)

    def _made(self, match: VendorMatch, http: VendorHttp) -> CredentialVendor:
        descriptor = match.descriptor
        if descriptor.factory is None:
            raise VendorError(f"{descriptor.title} has no documented call for credentials", permanent=True)
        try:
            made = resolve_name(descriptor.factory)(descriptor, match.settings, self._credentials, http)
        except Exception as error:
            # A user's module and class may raise anything.
            problem = f"{type(error).__name__}: {error}"
            raise VendorError(f"{descriptor.factory} cannot be loaded ({problem})", permanent=True) from error
        if not isinstance(made, CredentialVendor):
            raise VendorError(f"{descriptor.factory} is no subclass of CredentialVendor", permanent=True)
        return made


def secret_kind(value: str) -> str:
    """The kind of secret that a whole value looks like; empty where it looks like none."""
    found = _PATTERNS.find(value)
    return found[0].kind if found and (found[0].start, found[0].end) == (0, len(value)) else ""
