"""Where signed links in messages lead: `GET /answer/TOKEN` shows the incident and a button, `POST` carries it out.

Mail scanners and previews of chats follow links, so a GET changes nothing. The token is the authorisation: there is no
sign-in, which a person who was just woken may not have at hand, and no cookie that another site's page could misuse. It
works while the system is isolated, since acknowledging must always be possible.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import parse_qsl

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from orchestration import logs
from orchestration.alerts.payload import PayloadRefusedError
from orchestration.app.application import Application
from orchestration.domain.message_verb import MessageVerb
from orchestration.errors import NotFoundError
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.commands.manual_escalation import Escalate
from orchestration.incidents.commands.message_answer import AnswerByMessage
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.message_answers import answerability, level_to_call, obstacles
from orchestration.incidents.model import Incident, IncidentRefusedError, person
from orchestration.notifications.message_links import ANSWER_PATH, InvalidLinkError, LinkClaim, link_id
from orchestration.security.audit_trail import AuditTrail
from orchestration.storage.database import StorageError
from orchestration.web.answer_page import LEVELS, form_page, note_page
from orchestration.web.auth_middleware import source_of
from orchestration.web.intake import read_body
from orchestration.web.request_rate import RequestRate

_MAX_BYTES = 16_000
_LONGEST_TEXT = 2_000
# A person opens a handful of links; a proxy may bring a whole team.
_BURST, _PER_SECOND = 60, 1.0
_HEADERS = {
    # The address of the page is the secret. Forms are posted to it with `Origin: null`, which is accepted here alone.
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
_INVALID = (
    "This link is not valid. It was cut off, or the key that signs links was replaced since.",
    "Copy the whole link from the message, or use the dashboard or the console: orchestrator incidents ack latest",
)
_log = logs.get_logger("web")


@dataclass(frozen=True, slots=True)
class _Opened:
    """A link that was read, its incident, and those of its contacts who are contacts still."""

    claim: LinkClaim
    link: str
    incident: Incident
    url: str
    contacts: tuple[str, ...]


class _UnusableLinkError(Exception):
    """The link cannot be used; the page says why."""

    def __init__(self, status: int, page: str) -> None:
        super().__init__()
        self.status = status
        self.page = page


class AnswerPages:
    """The pages behind the links in messages."""

    def __init__(self, app: Application, trail: AuditTrail) -> None:
        self._app = app
        self._trail = trail
        self._rate = RequestRate(_BURST, _PER_SECOND)

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        return [Route(ANSWER_PATH + "{token}", self._handle, methods=["GET", "POST"])]

    async def _handle(self, request: Request) -> Response:
        wait = self._rate.wait(source_of(request.scope), self._app.clock.monotonic())
        if wait:
            page = note_page("Too many requests", [f"Wait {math.ceil(wait)} seconds, then open the link again."])
            return _response(page, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(math.ceil(wait))})
        try:
            form = await _form(request) if request.method == "POST" else None
            status, page = await anyio.to_thread.run_sync(self._answer, request, form)
        except _UnusableLinkError as unusable:
            return _response(unusable.page, unusable.status)
        except PayloadRefusedError as refusal:
            return _response(note_page("Not possible", [str(refusal)]), refusal.status)
        except (SQLAlchemyError, StorageError):
            sentence = "The database is not available. Nothing was changed; try again in a moment."
            return _response(note_page("Temporarily unavailable", [sentence]), HTTPStatus.SERVICE_UNAVAILABLE)
        if form is not None:
            # Whoever has seen that it was done must find it on record, even if this process dies now.
            await self._app.recorded()
        return _response(page, status)

    def _answer(self, request: Request, form: Mapping[str, str] | None) -> tuple[int, str]:
        opened = self._open(request.path_params["token"])
        found = answerability(opened.incident, opened.claim.verb, opened.link)
        if not found.possible:
            title = "Nothing was changed" if form is not None else "Nothing to do"
            return HTTPStatus.OK, note_page(title, [found.sentence], opened.incident, opened.url)
        if form is None:
            return HTTPStatus.OK, self._form_page(opened)
        return self._carry_out(opened, form, source_of(request.scope))

    def _open(self, token: str) -> _Opened:
        """The link with its incident. Raises _UnusableLinkError."""
        try:
            claim = self._app.message_links.read(token)
        except InvalidLinkError:
            raise _UnusableLinkError(HTTPStatus.NOT_FOUND, note_page("Link not valid", _INVALID)) from None
        known = {contact.id for contact in self._app.configuration.response.contacts}
        contacts = tuple(name for name in claim.contacts if name in known)
        if not contacts:
            sentence = f"{', '.join(claim.contacts)} is not among the contacts any more, so the link is void."
            raise _UnusableLinkError(HTTPStatus.GONE, note_page("Link not valid", [sentence]))
        url = self._app.incident_url(claim.incident)
        try:
            incident = self._app.incident_service.records.get(claim.incident)
        except NotFoundError:
            gone = f"The incident {claim.incident} is not on record any more."
            raise _UnusableLinkError(HTTPStatus.NOT_FOUND, note_page("Not found", [gone])) from None
        if claim.expires_at <= self._app.clock.now():
            sentences = (
                f"This link has expired at {claim.expires_at:%Y-%m-%d %H:%M} UTC. Nothing was changed.",
                f"Sign in to the dashboard, or use the console: orchestrator incidents ack {claim.incident}",
            )
            raise _UnusableLinkError(HTTPStatus.GONE, note_page("Link expired", sentences, incident, url))
        return _Opened(claim, link_id(token), incident, url, contacts)

    def _form_page(self, opened: _Opened, problem: str = "") -> str:
        incident = opened.incident
        settings = self._app.incident_service.records.settings(incident)
        return form_page(
            opened.claim.verb,
            opened.contacts,
            incident,
            problem=problem,
            obstacles=obstacles(incident),
            level=level_to_call(incident, settings),
            url=opened.url,
        )

    def _carry_out(self, opened: _Opened, form: Mapping[str, str], source: str) -> tuple[int, str]:
        claim, service = opened.claim, self._app.incident_service
        who = opened.contacts[0] if len(opened.contacts) == 1 else form.get("who", "")
        if who not in opened.contacts:
            return HTTPStatus.UNPROCESSABLE_ENTITY, self._form_page(opened, "Choose who you are.")
        way = f"link in a message on {claim.channel}"
        command = AnswerByMessage(self._command(opened, who, form), opened.link, way)
        try:
            changed = service.execute(claim.incident, person(who), command)
        except IncidentRefusedError as refusal:
            self._audit(opened, who, source, "refused")
            current = replace(opened, incident=service.records.get(claim.incident))
            found = answerability(current.incident, claim.verb, opened.link)
            if found.possible:  # such as an alert that still fires, which the form now asks about
                return HTTPStatus.CONFLICT, self._form_page(current, str(refusal))
            return HTTPStatus.OK, note_page("Nothing was changed", [found.sentence], current.incident, opened.url)
        self._audit(opened, who, source, "done")
        return HTTPStatus.OK, note_page("Done", [_done(claim.verb, command.command)], changed, opened.url)

    def _command(self, opened: _Opened, who: str, form: Mapping[str, str]) -> IncidentCommand:
        text = _text(form)
        match opened.claim.verb:
            case MessageVerb.ACKNOWLEDGE:
                return Acknowledge()
            case MessageVerb.RESOLVE:
                return Resolve(text or f"{who} says that it is over", anyway=form.get("anyway") == "yes")
            case MessageVerb.ESCALATE:
                level = form.get("level", "")
                settings = self._app.incident_service.records.settings(opened.incident)
                chosen = int(level) if level in map(str, LEVELS) else level_to_call(opened.incident, settings)
                return Escalate(chosen, text or f"{who} asks for help")

    def _audit(self, opened: _Opened, who: str, source: str, outcome: str) -> None:
        claim = opened.claim
        details = {"incident": claim.incident, "channel": claim.channel, "link": opened.link, "source": source}
        try:
            self._trail.write(who, f"{claim.verb.value} by a link in a message", outcome, details)
        except SQLAlchemyError as error:
            # It has been carried out, and is on the incident's timeline. The page must not say that it was not.
            _log.error("audit.unwritten", action=claim.verb.value, error=type(error).__name__)


def _done(verb: MessageVerb, command: IncidentCommand) -> str:
    match verb:
        case MessageVerb.ACKNOWLEDGE:
            return "You have the incident. Paging has stopped."
        case MessageVerb.RESOLVE:
            return "The incident is resolved. Everybody who was notified of it is being informed."
        case MessageVerb.ESCALATE:
            level = command.level if isinstance(command, Escalate) else 0
            return f"Level {level} ({LEVELS.get(level, '')}) is being notified."


def _text(form: Mapping[str, str]) -> str:
    text = form.get("text", "").strip()[:_LONGEST_TEXT]
    return "".join(character for character in text if character.isprintable() or character in "\n\t")


async def _form(request: Request) -> Mapping[str, str]:
    body = await read_body(request, _MAX_BYTES)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=10))
    except ValueError:
        raise PayloadRefusedError("The form is malformed. Open the link again.", HTTPStatus.BAD_REQUEST) from None


def _response(page: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return HTMLResponse(page, status, {**_HEADERS, **(headers or {})})
