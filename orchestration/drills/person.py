"""The person on call in a drill, who uses the console as any user does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import TypeVar

import anyio
from sqlalchemy.exc import SQLAlchemyError

from orchestration.domain.duty import DutyKind, DutyOwner
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.playbook_state import ActionState
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.model import Drill, Inject
from orchestration.drills.observer import DrillObserver
from orchestration.drills.processes import DrillError
from orchestration.incidents.model import Incident
from orchestration.incidents.resolution import BlockerKind, blockers
from orchestration.storage.database import StorageError
from orchestration.storage.playbooks import ActionRun, PlaybookRecords

T = TypeVar("T")

_POLL_SECONDS = 0.5
_MEND_SECONDS = 70.0
# Resolved too: a cause that is removed only afterwards shows that this came too early.
_WORKED_AROUND = (IncidentStatus.MITIGATED, IncidentStatus.RESOLVED)
_REASON = "a drill: as the playbook proposes"


async def be_on_call(drill: Drill, environment: DrillEnvironment) -> None:
    """Do everything that the drill expects of a person. Ends by being cancelled. Raises DrillError."""
    async with anyio.create_task_group() as group:
        group.start_soon(_answer_questions, drill, environment)
        group.start_soon(_mend_and_end_duties, drill, environment)
        if drill.expects.closed_by_person:
            group.start_soon(_close_incidents, environment)
        if drill.attend is not None:
            group.start_soon(drill.attend, environment)


async def _answer_questions(drill: Drill, environment: DrillEnvironment) -> None:
    """Say yes to every question that the drill names, each once, after doing what it asks for. Ends by being cancelled.
    Raises DrillError."""
    answered: set[str] = set()
    while drill.expects.answers:
        for asked in await _open(environment, drill.expects.answers):
            incident, key, action, question = asked
            if key not in answered:
                answered.add(key)
                if first := drill.before_answering.get(action):
                    await first(environment)
                words = ("incidents", "approve", incident, "--question", question, "--reason", _REASON)
                await _command(environment, words, asked, lambda: _open(environment, drill.expects.answers))
        await environment.clock.sleep(_POLL_SECONDS)


async def _mend_and_end_duties(drill: Drill, environment: DrillEnvironment) -> None:
    """Nobody says that a duty is done before its cause is gone."""
    if drill.expects.mended:
        await _mend(environment, drill.mend)
    await _end_duties(environment, drill.expects.duties)


async def _end_duties(environment: DrillEnvironment, kinds: Collection[DutyKind]) -> None:
    """Say of each duty of these kinds that it is done, each once. Ends by being cancelled. Raises DrillError."""
    ended: set[tuple[str, int]] = set()
    while kinds:
        for incident, number in await _duties(environment, kinds):
            if (incident, number) not in ended:
                ended.add((incident, number))
                words = ("incidents", "duty-done", incident, str(number), "--evidence", _REASON)
                await _command(environment, words, (incident, number), lambda: _duties(environment, kinds))
        await environment.clock.sleep(_POLL_SECONDS)


async def _close_incidents(environment: DrillEnvironment) -> None:
    """Resolve each incident that is mitigated, whose alerts are over and whose duties are done, as a person who has
    looked. Ends by being cancelled. Raises DrillError."""
    closed: set[str] = set()

    def to_be_ended() -> list[str]:
        return [one.id for one in DrillObserver(environment).incidents() if _only_a_person_can_end(one)]

    async def due() -> list[str]:
        return await _read(environment, to_be_ended) or []

    while True:
        for incident in await due():
            if incident not in closed:
                closed.add(incident)
                environment.mark_repaired()
                words = ("incidents", "resolve", incident, "--resolution", _REASON)
                await _command(environment, words, incident, due)
        await environment.clock.sleep(_POLL_SECONDS)


def _only_a_person_can_end(one: Incident) -> bool:
    found = {each.kind for each in blockers(one)}
    return one.status is IncidentStatus.MITIGATED and found == {BlockerKind.SILENT}


async def _command(
    environment: DrillEnvironment, words: Sequence[str], one: T, due: Callable[[], Awaitable[Collection[T]]]
) -> None:
    """Give a command about something that was due. Automation may have done it meanwhile, with a proof of its own; then
    it does not matter that the command is refused. Raises DrillError."""
    try:
        await environment.command(*words)
    except DrillError:
        if one in await due():
            raise


async def _read(environment: DrillEnvironment, function: Callable[[], T]) -> T | None:
    """What the database says; None while it is what the fault has made unavailable."""
    try:
        return await environment.database.call(function)
    except (SQLAlchemyError, StorageError):
        return None


async def _mend(environment: DrillEnvironment, mend: Inject) -> None:
    """Wait until an incident is mitigated by a workaround, then remove the cause: as the operator of a provider does,
    or the author of a configuration. Raises DrillError."""

    def mitigated() -> bool:
        incidents = DrillObserver(environment).incidents()
        return any(one.status in _WORKED_AROUND for one in incidents)

    async def is_mitigated() -> bool:
        return bool(await _read(environment, mitigated))

    await environment.until(is_mitigated, "a workaround", _MEND_SECONDS)
    environment.mark_repaired()
    await mend(environment)


async def _duties(environment: DrillEnvironment, kinds: Collection[DutyKind]) -> list[tuple[str, int]]:
    """The open duties of these kinds that are a person's: the incident, the number."""

    def duties() -> list[tuple[str, int]]:
        found = ((one.id, duty) for one in DrillObserver(environment).incidents() for duty in one.open_duties)
        people = ((name, duty) for name, duty in found if duty.owner is not DutyOwner.AUTOMATION)
        return [(name, duty.number) for name, duty in people if duty.kind in kinds]

    return await _read(environment, duties) or []


async def wait_for_action(
    environment: DrillEnvironment, action: str, state: ActionState = ActionState.DONE, seconds: float = 90.0
) -> ActionRun:
    """Wait until a playbook has come to an action. Raises DrillError."""

    def find() -> ActionRun | None:
        records = PlaybookRecords(environment.database)
        incidents = DrillObserver(environment).incidents()
        found = (act for one in incidents for act in records.list_actions(incident_id=one.id))
        return next((act for act in found if act.action == action and act.state is state), None)

    async def found() -> ActionRun | None:
        return await _read(environment, find)

    act = await environment.until(found, f"the action {action}", seconds)
    assert act is not None  # noqa: S101 (`until` returns what is true)
    return act


async def _open(environment: DrillEnvironment, actions: Collection[str]) -> list[tuple[str, str, str, str]]:
    """The open questions about these actions: the incident, the key, the action, the text."""

    def questions() -> Iterator[tuple[str, str, str, str]]:
        observer = DrillObserver(environment)
        for incident in observer.incidents():
            for action, one in observer.questions(incident):
                if action in actions:
                    yield incident.id, one.id, action, one.question

    return await _read(environment, lambda: list(questions())) or []
