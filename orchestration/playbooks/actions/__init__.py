"""Actions: what playbooks can do. Each has typed parameters, a declared risk, a preview, and where possible an undo."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestration.domain.duty import DutyRequest
from orchestration.domain.subject_kind import SubjectKind
from orchestration.errors import OrchestratorError, UsageError
from orchestration.playbooks.model import Mode, Risk
from orchestration.playbooks.ports import ActionServices


class Parameters(BaseModel):
    """What an action is called with. An unknown key is a mistake in the playbook."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoParameters(Parameters):
    """For an action that needs none."""


class UndoState(BaseModel):
    """What an action needs to undo itself. Stored as JSON: another process, of a later version, may have to do it."""

    # Unlike parameters, it ignores unknown keys: another version may have stored it.
    model_config = ConfigDict(frozen=True)

    def as_json(self) -> dict[str, Any]:
        """The state as `ActionOutcome.undo` holds it."""
        return self.model_dump(mode="json")


# How long a change is in force; a week at most, because nobody remembers a temporary change for longer.
Minutes = Annotated[float, Field(gt=0, le=10_080)]

P = TypeVar("P", bound=Parameters)
U = TypeVar("U", bound=UndoState)


class ActionError(OrchestratorError):
    """An action failed. What it had changed has been restored, or is named."""


@dataclass(frozen=True, slots=True)
class ActionContext:
    """On whose behalf an action works. `key` stays the same when the step is repeated after a crash: it makes effects
    idempotent.

    `actor` and `reason` are recorded with whatever the action changes; `reason` is a sentence for people, and no
    program reads it.
    """

    incident_id: str
    key: str
    actor: str
    reason: str
    now: datetime
    drill: bool = False


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """What an action did: a sentence for the timeline, findings for later steps, evidence for people, and `undo`:
    everything that `Action.undo` needs, None if there is nothing to undo. `duties` are what it leaves to be done before
    the incident may be resolved."""

    summary: str
    findings: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    undo: Mapping[str, Any] | None = None
    duties: tuple[DutyRequest, ...] = ()

    @property
    def says(self) -> str:
        """The name of `summary` in version 0.1, for actions of users."""
        return self.summary


def _type_arguments(kind: type) -> Iterator[type]:
    """The classes in the brackets of a class's bases: `SomeRuns` of `class Cancel(Action[SomeRuns])`."""
    for base in vars(kind).get("__orig_bases__", ()):
        yield from (argument for argument in get_args(base) if isinstance(argument, type))


class Action(Generic[P]):
    """One thing that a playbook can do. Actions keep nothing in memory between calls: a restart may lie between them.

    `name` is `subject.verb`; `summary` is what it does and `undo_summary` what `undo` does, both in a few words;
    `finds` names the findings that later steps can use, `proves` the subjects that they observe: a playbook may end an
    incident only by a verification that observes its subject. `parameters` is taken from the class that `Action[...]`
    names.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    risk: ClassVar[Risk] = Risk.READS
    parameters: ClassVar[type[Parameters]]
    finds: ClassVar[tuple[str, ...]] = ()
    proves: ClassVar[frozenset[SubjectKind]] = frozenset()
    undo_summary: ClassVar[str] = ""
    # Whether a request for its approval has no end: what it asks about is not over because nobody has answered.
    lasting: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for argument in _type_arguments(cls):
            if issubclass(argument, Parameters) and "parameters" not in vars(cls):
                cls.parameters = argument
        # Version 0.1 called it so; actions of users may still do.
        cls.undo_summary = vars(cls).get("taken_back", cls.undo_summary)

    def __init__(self, services: ActionServices) -> None:
        self.services = services

    @property
    def handles(self) -> ActionServices:
        """The name of `services` in version 0.1, for actions of users."""
        return self.services

    def targets(self, parameters: P) -> tuple[str, ...] | None:
        """The names that it would act on; None if it has no targets. An empty tuple means that it is refused. May
        block."""
        return None

    def at_most(self, parameters: P) -> Mode:
        """How far the machine may go with these parameters, whatever the playbook asks for."""
        return Mode.AUTO

    async def preview(self, context: ActionContext, parameters: P) -> str:
        """What it would do, exactly, without doing it."""
        return self.summary

    async def run(self, context: ActionContext, parameters: P) -> ActionOutcome:
        """Do it. Doing it again with the same key changes nothing more. Raises ActionError."""
        raise NotImplementedError

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        """Undo it; returns what was done. Raises ActionError."""
        raise ActionError(f"{self.name} cannot be undone")


class ReversibleAction(Action[P], Generic[P, U]):
    """An action that can be undone, from a state with a type of its own."""

    risk = Risk.REVERSIBLE
    undo_state: ClassVar[type[UndoState]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for argument in _type_arguments(cls):
            if issubclass(argument, UndoState):
                cls.undo_state = argument

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        state: Any = self.undo_state.model_validate(dict(undo))
        return await self.revert(context, state)

    async def revert(self, context: ActionContext, state: U) -> str:
        """Undo it; returns what was done. Raises ActionError."""
        raise NotImplementedError


# An action whose parameters are known only at run time, by its class: the registry holds actions of every type.
AnyAction: TypeAlias = Action[Any]

REGISTRY: dict[str, type[AnyAction]] = {}

A = TypeVar("A", bound=type[AnyAction])


def action(kind: A) -> A:
    """Register an action under its name. Raises UsageError if the name is taken."""
    # The same class may come twice: by its decorator, and by an entry point that names it.
    if REGISTRY.setdefault(kind.name, kind) is not kind:
        raise UsageError(f"an action named '{kind.name}' exists already; choose another name")
    return kind


def parse(kind: type[AnyAction], values: Mapping[str, Any]) -> Parameters:
    """The parameters of an action, validated. Raises UsageError."""
    try:
        return kind.parameters.model_validate(dict(values))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'parameters'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise UsageError(f"the parameters of {kind.name} are wrong: {problems}") from error


# The names in version 0.1, for actions of users.
Context, Outcome = ActionContext, ActionOutcome
