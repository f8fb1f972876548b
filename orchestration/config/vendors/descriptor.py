"""What the system has to know about one vendor of credentials."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class RevocationPage:
    """Where a person revokes a credential: the address, the way through the screens, and where that is documented."""

    url: str
    steps: str
    source: str
    read_on: date


@dataclass(frozen=True, slots=True)
class VendorDescriptor:
    """One vendor: the forms of its credentials, its address, and the class that revokes and probes them.

    `kinds` are kinds of secret patterns. `factory` is written as "module:class", as an entry point is; without one
    nothing can be asked of the vendor. `revokes` tells whether the class can revoke, or only probe.
    """

    name: str
    title: str
    page: RevocationPage
    kinds: tuple[str, ...] = ()
    address: str | None = None
    factory: str | None = None
    revokes: bool = False
    options: type[BaseModel] | None = None
