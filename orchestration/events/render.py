"""An event in words, for people: the same on a terminal, in a browser and in the log. Pure."""

from __future__ import annotations

from orchestration.events.bus import Event


def render(event: Event) -> str:
    """The event as a sentence that begins with its subject: the agent, else the run if it is about the run."""
    sentence = event.payload.sentence()
    if event.agent:
        return f"{event.agent}: {sentence}"
    # Only for sentences about the run: the others have a subject of their own, such as an artifact.
    return f"run {event.run_id} {sentence}" if event.payload.about_run and event.run_id else sentence


def followed_line(event: Event) -> str | None:
    """The event as a line for people who follow a run; None for one that only machines and the log need."""
    return render(event) if event.payload.followed else None
