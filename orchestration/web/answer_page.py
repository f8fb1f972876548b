"""The pages that a signed link in a message leads to, as HTML. Pure. They work without scripts and style sheets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from orchestration.domain.message_verb import MessageVerb
from orchestration.incidents.model import Incident
from orchestration.web.stylesheet import framed

_UNLISTED = '<meta name="robots" content="noindex, nofollow">'
LEVELS: Mapping[int, str] = {1: "on-call engineer", 2: "technical lead", 3: "project manager", 4: "security team"}
_EXPLANATIONS = {
    MessageVerb.ACKNOWLEDGE: "You take the incident: paging stops, and whoever was notified learns that you have it.",
    MessageVerb.RESOLVE: "The incident ends, and everybody who was notified is told.",
    MessageVerb.ESCALATE: "The level is notified at once.",
}


def note_page(title: str, sentences: Iterable[str], incident: Incident | None = None, url: str = "") -> str:
    """A page that says something and asks nothing."""
    return _page(title, [*_about(incident), *map(_paragraph, sentences), *_way_on(incident, url)])


def form_page(
    verb: MessageVerb,
    contacts: Sequence[str],
    incident: Incident,
    *,
    problem: str = "",
    obstacles: Iterable[str] = (),
    level: int = 2,
    url: str = "",
) -> str:
    """The page with the one button that carries out the verb. It is sent to its own address."""
    fields = {
        MessageVerb.ACKNOWLEDGE: (),
        MessageVerb.RESOLVE: _resolution(tuple(obstacles)),
        MessageVerb.ESCALATE: _levels(level),
    }[verb]
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    form = [
        '<form method="post">',
        *_names(contacts),
        *fields,
        f'<button type="submit">{verb.label}</button>',
        "<p><small>Whoever has this link can use it; do not forward the message.</small></p></form>",
    ]
    title = f"{verb.label} this incident?"
    return _page(title, [*_about(incident), alert, _paragraph(_EXPLANATIONS[verb]), *form, *_way_on(incident, url)])


def _page(title: str, body: Iterable[str]) -> str:
    return framed(title, "\n".join(part for part in body if part), head=_UNLISTED)


def _about(incident: Incident | None) -> list[str]:
    if incident is None:
        return []
    drill = "[DRILL] " if incident.drill else ""
    detected = f"{incident.status.value} · detected {incident.detected_at:%Y-%m-%d %H:%M} UTC · {incident.id}"
    return [
        f"<p><strong>{incident.severity.value} {escape(drill + incident.title)}</strong><br>{escape(detected)}</p>",
        _paragraph(incident.impact) if incident.impact else "",
    ]


def _way_on(incident: Incident | None, url: str) -> list[str]:
    if incident is None:
        return []
    command = f"<p><small>On the console: <code>orchestrator incidents show {escape(incident.id)}</code></small></p>"
    return [f'<p><a href="{escape(url)}" rel="noreferrer">Open the incident</a></p>' if url else "", command]


def _resolution(obstacles: tuple[str, ...]) -> list[str]:
    text = (
        '<label for="text">What ended it</label><textarea id="text" name="text" rows="2" maxlength="2000"></textarea>'
    )
    if not obstacles:
        return [text]
    items = "".join(f"<li>{escape(each)}</li>" for each in obstacles)
    return [
        f"<p>It does not look repaired:</p><ul>{items}</ul>",
        text,
        '<label><input type="checkbox" name="anyway" value="yes" required> Resolve it all the same</label>',
    ]


def _names(contacts: Sequence[str]) -> list[str]:
    """As whom it is done; of several who share an address, each says who they are."""
    if len(contacts) == 1:
        return [f"<p>As {escape(contacts[0])}.</p>"]
    options = "".join(f'<option value="{escape(name)}">{escape(name)}</option>' for name in contacts)
    empty = '<option value="">choose</option>'
    return [f'<label for="who">You are</label><select id="who" name="who" required>{empty}{options}</select>']


def _levels(chosen: int) -> list[str]:
    options = "".join(
        f'<option value="{level}"{" selected" if level == chosen else ""}>{level}: {name}</option>'
        for level, name in LEVELS.items()
    )
    return [
        f'<label for="level">Level</label><select id="level" name="level">{options}</select>',
        '<label for="text">Why</label><input id="text" name="text" maxlength="2000" autocomplete="off">',
    ]


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"
