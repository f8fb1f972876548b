"""What every vendor of credentials can do: revoke a value, and tell whether it is still accepted.

No value is logged, stored or quoted in an error: messages are made of the vendor's name, a status and a code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from orchestration.config.credentials import CredentialSource
from orchestration.config.vendors.descriptor import VendorDescriptor
from orchestration.config.vendors.settings import RevokerSettings
from orchestration.security.vendors.http import VendorError, VendorHttp

Options = TypeVar("Options", bound=BaseModel)
# The characters at its end that distinguish a key from others.
_SHOWN = 3


class CredentialStatus(StrEnum):
    """What a vendor says of a value. Only `refused` proves that it is worthless."""

    REFUSED = "refused"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CredentialProbe:
    """The answer to a probe, with the evidence for it: who answered what. Never holds the value."""

    status: CredentialStatus
    evidence: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revocation that the vendor has confirmed; `was_revoked` if it was so before. Azure returns a `replacement`."""

    evidence: str
    was_revoked: bool = False
    replacement: str | None = field(default=None, repr=False)


class CredentialVendor(ABC):
    """A vendor at one address. `title` names it in messages."""

    def __init__(
        self,
        descriptor: VendorDescriptor,
        settings: RevokerSettings,
        credentials: CredentialSource,
        http: VendorHttp,
    ) -> None:
        self.title = descriptor.title
        self.address = (settings.base_url or descriptor.address or "").rstrip("/")
        self.is_own_address = settings.base_url is not None
        self._settings = settings
        self._credentials = credentials
        self._http = http

    async def revoke(self, value: str) -> Revocation:  # noqa: ARG002 (subclasses use it)
        """Revoke a value; one that is revoked already is a success. Raises VendorError."""
        raise VendorError(f"{self.title} has no documented call that revokes a credential", permanent=True)

    async def probe(self, value: str) -> CredentialProbe:
        """Ask with a harmless call whether a value is accepted. Never raises for what a vendor answers."""
        if not (value.isascii() and value.isprintable()):
            return CredentialProbe(CredentialStatus.UNKNOWN, "the value cannot be sent in a header")
        try:
            return await self.examine(value)
        except VendorError as error:
            return CredentialProbe(CredentialStatus.UNKNOWN, str(error), error.retry_after)

    @abstractmethod
    async def examine(self, value: str) -> CredentialProbe:
        """The probe itself. Raises VendorError."""

    def options(self, model: type[Options]) -> Options:
        """The options of the settings. Raises VendorError where they do not say what a call needs."""
        try:
            return model.model_validate(self._settings.options)
        except ValidationError:
            raise VendorError(f"no revoker is configured for {self.title}", permanent=True) from None

    def secret(self, variable: str) -> str:
        """The value of a variable that the revoker needs. Raises VendorError if it is not set."""
        value = self._credentials.get(variable)
        if value is None:
            raise VendorError(f"{variable} is not set; put it into .env", permanent=True)
        return value

    def found(self, status: CredentialStatus, what: str) -> CredentialProbe:
        """A result of a probe, with what the vendor answered."""
        return CredentialProbe(status, f"{self.title} answered {what}")


def matches_hint(value: str, hint: str) -> bool:
    """Whether a value may be the one that a vendor shows as `sk-abc...wxyz` or `sk-***wxyz`."""
    head, _, rest = _unified(hint).partition("…")
    tail = rest.rpartition("…")[2]
    # Fewer characters than these are shared by chance; all keys of a vendor begin alike.
    enough = len(tail) >= _SHOWN and len(value) > len(head) + len(tail)
    return enough and value.startswith(head) and value.endswith(tail)


def _unified(hint: str) -> str:
    """The hint with each run of stars or dots as one ellipsis."""
    return "".join("…" if sign in "*•" else sign for sign in hint.replace("...", "…"))


def text_at(data: object, *path: str) -> str:
    """The text at a path of a vendor's JSON; empty where there is none."""
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, str) else ""
