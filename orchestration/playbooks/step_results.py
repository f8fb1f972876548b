"""What the durable steps of a response return, and how it is stored. Pure.

The engine keeps each result as JSON and hands it back when the flow is replayed, possibly by a later version. So the
stored names are those of version 0.1 (`says`, `overtaken`), and reading accepts the present names as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AliasChoices, Field, TypeAdapter

from orchestration.domain.playbook_state import PlaybookRunState
from orchestration.playbooks.model import Mode, Playbook
from orchestration.storage.playbooks import Summary

_Reason = Annotated[str, Field(validation_alias=AliasChoices("reason", "says"), serialization_alias="says")]


@dataclass(frozen=True, slots=True)
class OpenedResponse:
    """The playbook that was chosen, fixed for the rest of the response, with the facts known at the start and the
    options that an earlier response has tried already. `option` is the only one to try, because the person
    `requested_by` asks for it; empty where nobody does."""

    playbook: Playbook
    facts: Mapping[str, Any]
    attempts: int
    option: str = ""
    requested_by: str = ""


@dataclass(frozen=True, slots=True)
class ClosedResponse:
    """How a response ended, why in one sentence, and the option that helped; None where it passed by itself."""

    state: PlaybookRunState
    summary: Summary
    helped: str | None = None


@dataclass(frozen=True, slots=True)
class StepDecision:
    """How far the machine may go with a step, decided before anything is done.

    `reason` is why it was held back, and `guard` what held it back. With `wait` the step is only postponed, by so many
    seconds. `preview` describes what the step would do. A `lasting` question has no end while its incident is open.
    """

    mode: Mode
    parameters: Mapping[str, Any]
    reason: _Reason = ""
    guard: str | None = None
    wait: float = 0.0
    preview: str = ""
    targets: tuple[str, ...] | None = None
    lasting: bool = False


class ApprovalOutcome(StrEnum):
    """What became of a request for approval. `superseded` ones lost their point: the incident was settled meanwhile."""

    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    # Stored as version 0.1 called it.
    SUPERSEDED = "overtaken"


@dataclass(frozen=True, slots=True)
class ApprovalReply:
    """The answer to a request for approval, and who gave it."""

    decision: ApprovalOutcome
    by: str
    summary: Summary


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """What a response is started with."""

    incident: str


OPENED = TypeAdapter[OpenedResponse | None](OpenedResponse | None)
CLOSED = TypeAdapter[ClosedResponse | None](ClosedResponse | None)
NOTHING = TypeAdapter[None](None)
