"""One answer from a vendor's tool, whatever the vendor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class VendorVerb(StrEnum):
    """What a person did there."""

    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    ESCALATE = "escalate"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class ExternalAnswer:
    """What a person did about an incident. `event` is the same however often it is delivered; `user` is the vendor's id
    of the person and `user_name` the vendor's name; `reply_url` is where a reply to that person alone can be sent."""

    event: str
    incident: str
    verb: VendorVerb
    user: str
    user_name: str = ""
    text: str = ""
    reply_url: str = ""


class UnreadableAnswerError(Exception):
    """The body is not what the vendor documents; its message says what is missing."""
