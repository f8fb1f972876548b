"""Actions: what playbooks can do. Each has typed parameters, a declared risk, a preview, and where it can, an undo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestration.errors import OrchestratorError, UsageError
from orchestration.playbooks.model import Mode, Risk
from orchestration.playbooks.ports import ActionServices


class Parameters(BaseModel):
    """What an action is called with; a key that it does not know is a mistake in the playbook."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoParameters(Parameters):
    """For an action that takes none."""


# For how long a change is in force; a week at most, since nobody remembers it longer.
Minutes = Annotated[float, Field(gt=0, le=10_080)]

P = TypeVar("P", bound=Parameters)


class ActionError(OrchestratorError):
    """An action could not be carried out; what it had changed has been put back, or is named."""


@dataclass(frozen=True, slots=True)
class ActionContext:
    """For whom an action works. `key` is the same when the step is repeated after a crash: it makes effects idempotent.

    `actor` is written wherever the action changes something; `reason` says why, in words, and begins with
    the incident's identifier and a colon, so that what was done for an incident can be found again.
    """

    incident_id: str
    key: str
    actor: str
    reason: str
    now: datetime
    drill: bool = False


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """What an action did: a sentence for the timeline, findings for later steps, evidence for people, and `undo`: all
    that `Action.undo` needs to take it back, None where there is nothing to take back."""

    says: str
    findings: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    undo: Mapping[str, Any] | None = None


class Action(Generic[P]):
    """One thing that can be done. Actions keep nothing in memory between calls: a restart may lie between them.

    `name` is `subject.verb`; `summary` says what it does and `taken_back` what `undo` does, both in a few words;
    `finds` names the findings that later steps can use.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    risk: ClassVar[Risk] = Risk.READS
    parameters: ClassVar[type[Parameters]]
    finds: ClassVar[tuple[str, ...]] = ()
    taken_back: ClassVar[str] = ""

    def __init__(self, handles: ActionServices) -> None:
        self.handles = handles

    def targets(self, parameters: P) -> tuple[str, ...] | None:
        """What it would act on by name; None where it has no targets. Empty means that it is refused. May block."""
        return None

    def at_most(self, parameters: P) -> Mode:
        """How far the machine may go with these parameters, whatever the playbook says; all the way by default."""
        return Mode.AUTO

    async def preview(self, context: ActionContext, parameters: P) -> str:
        """What it would do, exactly, without doing it."""
        return self.summary

    async def run(self, context: ActionContext, parameters: P) -> ActionOutcome:
        """Do it. Doing it again with the same key changes nothing more. Raises ActionError."""
        raise NotImplementedError

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        """Take it back; returns what was done. Raises ActionError."""
        raise ActionError(f"{self.name} cannot be taken back")


REGISTRY: dict[str, type[Action[Any]]] = {}

A = TypeVar("A", bound=type[Action[Any]])


def action(kind: A) -> A:
    """Make an action known by its name. Raises UsageError when the name is taken."""
    if REGISTRY.setdefault(kind.name, kind) is not kind:
        raise UsageError(f"expected a new name for an action, got '{kind.name}', which exists; choose another")
    return kind


def parse(kind: type[Action[Any]], values: Mapping[str, Any]) -> Parameters:
    """An action's parameters, checked. Raises UsageError."""
    try:
        return kind.parameters.model_validate(dict(values))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'parameters'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise UsageError(f"the parameters of {kind.name} are wrong: {problems}") from error


# What plugins written for 0.1 import.
Context, Outcome = ActionContext, ActionOutcome
