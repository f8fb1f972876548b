"""How incidents end."""

from __future__ import annotations

from enum import StrEnum


class IncidentEnd(StrEnum):
    """What an incident's resolution rests on. Figures count the three apart."""

    PROOF = "proof"
    """Every alert was observed to be gone after the last action, and every duty is done."""
    PERSON = "person"
    """A person ended it: nothing fires any more, but somebody's word stands in for an observation."""
    WORKAROUND = "workaround"
    """A person ended it although an alert fired or a duty was open."""
