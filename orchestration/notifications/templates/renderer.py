"""Renders notices with the shipped templates, or with the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import jinja2

from orchestration.config.response import Contact
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.notifications.templates import sandbox
from orchestration.notifications.templates.sandbox import TemplateProblem
from orchestration.notifications.templates.values import one_line, values


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """A rendered text. `note` says why a user's own template was not used; it is at the end of the body too."""

    subject: str
    body: str
    note: str = ""


class TemplateRenderer:
    """A template for each kind of notice. Make one with `read`, or use SHIPPED."""

    def __init__(self, own: Mapping[NoticeKind, str] | None = None) -> None:
        """`own` holds the texts of users' templates."""
        self._own: dict[NoticeKind, jinja2.Template] = {}
        self._broken: dict[NoticeKind, str] = {}
        for kind, source in (own or {}).items():
            try:
                self._own[kind] = sandbox.compile_template(source, _name(kind))
            except TemplateProblem as problem:
                self._broken[kind] = str(problem)

    @classmethod
    def read(cls, folder: Path) -> TemplateRenderer:
        """Read the user's own templates from a folder (`config/templates`)."""
        own: dict[NoticeKind, str] = {}
        broken: dict[NoticeKind, str] = {}
        for kind in NoticeKind:
            try:
                own[kind] = (folder / _name(kind)).read_text(encoding="utf-8")
            except FileNotFoundError:
                continue
            except (OSError, UnicodeDecodeError) as error:
                broken[kind] = f"{_name(kind)}: it cannot be read ({type(error).__name__})"
        templates = cls(own)
        templates._broken |= broken
        return templates

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the user's templates, as far as that can be known before they are used."""
        return tuple(self._broken.values())

    def render(self, notice: Notice, contact: Contact, people: Sequence[str] = ()) -> RenderedMessage:
        """The text of a notice for a contact. `people` are the names of those who share an address, and are shown.

        If the user's own template fails, the shipped one is used: a page with plain wording is better than none.
        """
        given = values(notice, contact.name or contact.id, contact.time_zone)
        note = self._broken.get(notice.kind, "")
        text = None
        if notice.kind in self._own:
            try:
                text = _text(self._own[notice.kind], given, notice.kind)
            except TemplateProblem as problem:
                note = str(problem)
        if text is None:
            text = _text(_shipped(notice.kind), given, notice.kind)
        subject, _, body = text.partition("\n")
        footer = _footer(notice, given["incident_id"], given["url"], note, people)
        return RenderedMessage(" ".join(subject.split()), f"{body.strip()}\n\n{footer}\n", note)


def _footer(notice: Notice, incident_id: str, url: str, note: str, people: Sequence[str]) -> str:
    """The lines below every text, shipped or the user's own: nobody can leave out that it is a drill."""
    if notice.kind is NoticeKind.REPORT:
        lines = [f"Report: {incident_id}" + (f" {url}" if url else "")]
    else:
        lines = [f"Incident: {incident_id}" + (f" {url}" if url else f" (orchestrator incidents show {incident_id})")]
    if people:
        lines.insert(0, f"For: {', '.join(one_line(name) for name in people)}")
    if notice.drill:
        lines.append("This is a drill: a rehearsed failure with an expected outcome.")
    if note:
        lines.append(f"A template of your own could not be used: {note}")
    return "\n".join(lines)


def _text(template: jinja2.Template, given: Mapping[str, object], kind: NoticeKind) -> str:
    text = sandbox.render(template, given, _name(kind)).strip()
    if not text:
        raise TemplateProblem(f"{_name(kind)}: it gives an empty text")
    return text


def _name(kind: NoticeKind) -> str:
    return f"{kind.value}.txt"


@cache
def _shipped(kind: NoticeKind) -> jinja2.Template:
    source = resources.files("orchestration.notifications.templates").joinpath(_name(kind)).read_text(encoding="utf-8")
    return sandbox.compile_template(source, _name(kind))


SHIPPED = TemplateRenderer()
