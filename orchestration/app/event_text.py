"""An event in words, for people: on a terminal and in a browser alike. Pure."""

from __future__ import annotations

from collections.abc import Callable

from orchestration.events import Event


def event_text(event: Event) -> str | None:
    """An event as a line for people; None for one that is only of interest to machines."""
    data = event.data
    agent = event.agent or ""
    sentences: dict[str, Callable[[], str]] = {
        "run.created": lambda: f"run {event.run_id} created",
        "run.started": lambda: f"works in {data['workspace']}",
        "run.waiting": lambda: f"waits: {data['reason']}" + "".join(f"\n         → {hint}" for hint in data["hints"]),
        "run.continued": lambda: "goes on",
        "run.resumed": lambda: f"run {event.run_id} resumed",
        "run.finished": lambda: (
            f"run {event.run_id} {data['status']}" + (f": {data['reason']}" if data["reason"] else "")
        ),
        "run.stopped": lambda: f"run {event.run_id} stopped" + (f": {data['reason']}" if data["reason"] else ""),
        "run.cancelled": lambda: f"run {event.run_id} cancelled",
        "agent.started": lambda: f"starts: {data['title']}",
        "agent.finished": lambda: _finished(event),
        "agent.retried": lambda: f"begins again ({data['reason']})",
        "tool_call.finished": lambda: f"{data['tool']} {data['about']}".rstrip() + ("" if data["ok"] else " (failed)"),
        "tool_call.refused": lambda: f"was refused: {data['reason']}",
        "route.opened": lambda: f"{data['route']} is out of use: {data['reason']}",
        "route.closed": lambda: f"{data['route']} works again",
        "approval.requested": lambda: f"waits for approval: {data['question']}",
        "artifact.written": lambda: f"wrote {data['name']}",
    }
    if event.kind not in sentences:
        return None
    text = sentences[event.kind]()
    return f"{agent}: {text}" if agent else text


def _finished(event: Event) -> str:
    if failing := event.data["failing"]:
        return f"failed: {failing['message']}"
    use = event.data["use"]
    money = f", ${use['usd']:.4f}" if use["usd"] else ""
    label = " [rehearsal]" if use["rehearsal"] else ""
    return f"done in {use['seconds']:.1f} s, {use['model_calls']} model calls, {use['tokens']} tokens{money}{label}"
