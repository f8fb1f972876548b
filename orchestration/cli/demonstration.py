"""`orchestrator demo` without a provider: the whole story on one screen, from the goal to the repair."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from orchestration.app.project import ProjectRecords
from orchestration.cli import common
from orchestration.cli.output import echo, secho
from orchestration.clock import SystemClock
from orchestration.drills.demonstration import Demonstration, demonstrate
from orchestration.events import Event
from orchestration.events.incidents import (
    IncidentDetected,
    IncidentDutyDone,
    IncidentMitigated,
    IncidentNoted,
    IncidentResolved,
)
from orchestration.events.playbooks import ActionFinished
from orchestration.events.providers import RouteClosed, RouteOpened
from orchestration.events.render import followed_line, render

_ENVIRONMENT = Path(".venv", "bin", "orchestrator")
_OPENING = (
    "A goal is worked on, its provider is killed in the middle, and the system repairs that. The models are the\n"
    "rehearsal provider: scripts that need no key and no network, and label what they write with [rehearsal].\n"
    "Everything else is real.\n"
)


def show_demonstration(here: ProjectRecords, *, as_json: bool) -> int:
    """Carry it out in a folder of its own, and tell it; returns the exit code."""
    folder = here.new_demo_folder()
    if not as_json:
        echo(_OPENING)
    narrator = _Narrator(quiet=as_json)
    folder.mkdir(parents=True)
    shown = common.run_async(lambda: demonstrate(folder.resolve(), SystemClock(), narrator.say, narrator.tell))
    if as_json:
        common.print_json({"folder": shown.folder, "run": shown.run, "incident": shown.incident.id, **figures(shown)})
    else:
        echo("\n" + "\n".join((*_what_happened(shown), "", *_what_next(shown))))
    return 0 if shown.succeeded else 1


def figures(shown: Demonstration) -> dict[str, float | None]:
    """The times in seconds after the provider was killed, or, for the resolution, after it was started again."""
    return {
        "detected_after": _seconds(shown.killed_at, shown.incident.detected_at),
        "mitigated_after": _seconds(shown.killed_at, shown.incident.mitigated_at),
        "resolved_after_repair": _seconds(shown.repaired_at, shown.incident.resolved_at),
        "steps": shown.work.steps,
        "steps_lost": shown.work.lost,
        "steps_repeated": shown.work.repeated,
        "model_calls_repeated": shown.work.calls_repeated,
    }


def _seconds(since: datetime, at: datetime | None) -> float | None:
    return None if at is None else round((at - since).total_seconds(), 1)


class _Narrator:
    """Prints what happens."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._out_of_use: set[str] = set()

    def say(self, text: str) -> None:
        """Announce what the demonstration itself does."""
        if not self._quiet:
            secho(f"{SystemClock().now():%H:%M:%S} >> {text}", bold=True)

    def tell(self, event: Event) -> None:
        """Print an event, if it is worth a line."""
        line = None if self._quiet or self._is_known(event) else _line(event)
        if line:
            echo(f"{event.at:%H:%M:%S} {line}")

    def _is_known(self, event: Event) -> bool:
        """Whether a route that is out of use was only found to be so again."""
        match event.payload:
            case RouteOpened(route=route):
                known = route in self._out_of_use
                self._out_of_use.add(route)
                return known
            case RouteClosed(route=route):
                self._out_of_use.discard(route)
        return False


def _line(event: Event) -> str | None:
    """What people who follow a run are shown, and the main points of the response."""
    match event.payload:
        case IncidentDetected(severity=severity, detail=detail):
            return f"INCIDENT {severity}: {detail.get('title')}: {detail.get('summary')}"
        case IncidentNoted(detail={"likely_causes": [cause, *_]}):
            return f"diagnosis: {cause}"
        case ActionFinished(phase="mitigate", state="done", action=action, message=message):
            return f"action {action}: {message}"
        case IncidentMitigated(detail=detail):
            return f"MITIGATED, not resolved: {'; '.join(detail.get('waits_for', ()))}"
        case IncidentDutyDone(detail=detail):
            return f"duty done: {detail.get('text')}: {detail.get('evidence')}"
        case IncidentResolved():
            return "RESOLVED: the provider was seen to answer, and nothing is left to do"
        case RouteOpened() | RouteClosed():
            return render(event)
        case _:
            return followed_line(event)


def _what_happened(shown: Demonstration) -> Iterator[str]:
    found, incident, work = figures(shown), shown.incident, shown.work
    yield "what happened"
    yield f"  the goal     {shown.run.status.value}: {work.steps} steps, {work.lost} lost, {work.repeated} repeated"
    yield f"  the incident {incident.severity.value} {incident.title}: {incident.status.value}"
    yield f"  detected     {_after(found['detected_after'])} after the provider was killed"
    yield f"  mitigated    {_after(found['mitigated_after'])} after it was killed: the other provider does its work"
    yield f"  resolved     {_after(found['resolved_after_repair'])} after it was started again: it was seen to answer"
    yield f"  repeated     {work.calls_repeated} model calls, those that were in progress"


def _after(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


def _what_next(shown: Demonstration) -> Iterator[str]:
    there = _relative(shown.folder)
    # `./run demo` sets up an environment that the caller's shell does not know.
    program = str(_ENVIRONMENT) if _ENVIRONMENT.exists() else "orchestrator"
    config = f"{program} --config {shlex.quote(str(there / 'config' / 'agents.config.json'))}"
    yield "look around"
    yield f"  {config} incidents show latest"
    yield f"  {config} runs show latest"
    yield f"  cat {shlex.quote(str(there / 'artifacts' / shown.run.id / 'review.md'))}"
    yield "go on"
    yield f"  {program} demo --provider ollama"
    yield "    the same goal with a real model"
    yield f"  {program} init my-agents"
    yield "    a project of your own; in it, `serve` keeps agents, response and dashboard running"


def _relative(folder: Path) -> Path:
    """The folder as it is shortest to type."""
    here = Path.cwd().resolve()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
