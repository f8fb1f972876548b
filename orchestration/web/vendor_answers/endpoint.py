"""The addresses at which vendors report what people do in their tools: `POST /api/v1/answers/pagerduty` and `/slack`.

Each is authenticated by the vendor's signature, with the secret of a channel. It becomes the ordinary command, in the
name of the contact whom the vendor's id of the person belongs to; the same event counts once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import anyio.to_thread
import httpx2
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestration import logs
from orchestration.alerts.payload import PayloadRefusedError
from orchestration.app.application import Application
from orchestration.app.live_credentials import LiveCredentials
from orchestration.config.response import Contact
from orchestration.domain.channel_kind import ChannelKind
from orchestration.errors import NotFoundError
from orchestration.events.security import SignInFailed
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.commands.manual_escalation import Escalate
from orchestration.incidents.commands.message_answer import AnswerByMessage
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.message_answers import level_to_call
from orchestration.incidents.model import Incident, IncidentRefusedError, Refusal, person
from orchestration.outbound import OutboundRule, OutboundTransport
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.vendor_signatures import BadSignatureError, verify_pagerduty, verify_slack
from orchestration.storage.database import StorageError
from orchestration.tls import shared_tls_context
from orchestration.web.auth_middleware import VENDOR_ANSWERS, source_of
from orchestration.web.intake import read_body
from orchestration.web.vendor_answers import pagerduty_events, slack_actions
from orchestration.web.vendor_answers.answer import ExternalAnswer, UnreadableAnswerError, VendorVerb

# A payload of PagerDuty or Slack has a few kilobytes, and the whole message in it in Slack's case.
_MAX_BYTES = 1_000_000
_REPLY_SECONDS = 3.0
_log = logs.get_logger("answers")
Verify = Callable[..., None]


@dataclass(frozen=True, slots=True)
class _Vendor:
    """One vendor: the kind of its channels, its signature and its payload. People whom nobody has linked are refused,
    unless the vendor itself decides who may do this."""

    name: str
    kind: ChannelKind
    verify: Verify
    read: Callable[[bytes], ExternalAnswer | None]
    trusts_users: bool


_VENDORS = (
    _Vendor("pagerduty", ChannelKind.PAGERDUTY, verify_pagerduty, pagerduty_events.read_answer, trusts_users=True),
    # Everybody in a workspace can press a button, so an account has to be linked to a contact.
    _Vendor("slack", ChannelKind.SLACK_BOT, verify_slack, slack_actions.read_answer, trusts_users=False),
)


class VendorAnswers:
    """The endpoints of all vendors."""

    def __init__(self, app: Application, trail: AuditTrail) -> None:
        self._app = app
        self._trail = trail
        self._credentials = LiveCredentials(app.store)

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        return [Route(f"{VENDOR_ANSWERS}{vendor.name}", self._handler(vendor), methods=["POST"]) for vendor in _VENDORS]

    def _handler(self, vendor: _Vendor) -> Callable[[Request], object]:
        async def handle(request: Request) -> Response:
            return await self._handle(vendor, request)

        return handle

    async def _handle(self, vendor: _Vendor, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            body = await read_body(request, _MAX_BYTES)
            channel = self._authenticate(vendor, headers, body)
            answer = vendor.read(body)
        except PayloadRefusedError as refusal:
            return JSONResponse({"error": str(refusal)}, refusal.status)
        except UnreadableAnswerError as error:
            return JSONResponse({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        except BadSignatureError as error:
            source = source_of(request.scope)
            self._app.bus.publish(SignInFailed(source=source, user=f"answers {vendor.name}", reason=str(error)))
            return JSONResponse({"error": str(error)}, HTTPStatus.UNAUTHORIZED)
        if answer is None:
            return Response(status_code=HTTPStatus.OK)
        try:
            said = await anyio.to_thread.run_sync(self._carry_out, vendor, channel, answer, source_of(request.scope))
        except (SQLAlchemyError, StorageError):
            return JSONResponse({"error": "the database is not available"}, HTTPStatus.SERVICE_UNAVAILABLE)
        await self._app.recorded()
        if said:
            await self._reply(answer, said)
        # Always accepted: an answer that is not possible is not more possible when it is delivered again.
        return Response(status_code=HTTPStatus.OK)

    def _authenticate(self, vendor: _Vendor, headers: Mapping[str, str], body: bytes) -> str:
        """The channel whose secret has signed a request. Raises BadSignatureError."""
        problem = BadSignatureError(f"no channel of the type {vendor.kind.value} has a secretEnv whose variable is set")
        for name, secret in self._secrets(vendor.kind):
            try:
                vendor.verify(secret, headers, body, self._app.clock.now())
            except BadSignatureError as error:
                problem = error
            else:
                return name
        raise problem

    def _secrets(self, kind: ChannelKind) -> Iterator[tuple[str, str]]:
        for name, settings in self._app.configuration.response.channels.items():
            secret = self._credentials.get(settings.secret_env) if settings.secret_env else None
            if settings.type == kind and settings.enabled and secret:
                yield name, secret

    def _carry_out(self, vendor: _Vendor, channel: str, answer: ExternalAnswer, source: str) -> str:
        """Give the command. Returns what the person has to be told, if anything. Blocks."""
        app = self._app
        contact = self._contact(channel, answer.user)
        if contact is None and not vendor.trusts_users:
            self._audit(answer.user, vendor, channel, answer, source, "refused")
            return "Your account is not linked to a contact here; nothing was done. Ask for it in `accounts`."
        name = contact.id if contact is not None else f"{answer.user_name or answer.user} ({vendor.name})"
        try:
            # Exactly this one: at a vendor's there are incidents of others, too.
            incident = app.incident_service.records.get(answer.incident)
        except NotFoundError:
            return f"There is no incident {answer.incident[:64]} here."
        said, outcome = self._give(incident, name, answer, vendor)
        self._audit(name, vendor, channel, answer, source, outcome)
        return said

    def _give(self, incident: Incident, name: str, answer: ExternalAnswer, vendor: _Vendor) -> tuple[str, str]:
        command = AnswerByMessage(self._command(incident, name, answer, vendor), answer.event, vendor.name)
        service = self._app.incident_service
        try:
            service.execute(incident.id, person(name), command)
        except IncidentRefusedError as refusal:
            if refusal.reason is Refusal.NOT_REPAIRED:
                # The vendor shows it as resolved; who looks here has to learn why it is not.
                note = AddNote(f"resolved in {vendor.name} by {name}, and still open here: {refusal}")
                with contextlib.suppress(IncidentRefusedError):
                    service.execute(incident.id, person(name), AnswerByMessage(note, answer.event, vendor.name))
            return str(refusal), "refused"
        return "", "done"

    def _command(self, incident: Incident, name: str, answer: ExternalAnswer, vendor: _Vendor) -> IncidentCommand:
        match answer.verb:
            case VendorVerb.ACKNOWLEDGE:
                return Acknowledge()
            case VendorVerb.RESOLVE:
                return Resolve(f"resolved in {vendor.name} by {name}")
            case VendorVerb.ESCALATE:
                settings = self._app.incident_service.records.settings(incident)
                return Escalate(level_to_call(incident, settings), f"{name} asks for help by {vendor.name}")
            case VendorVerb.NOTE:
                return AddNote(answer.text)

    def _contact(self, channel: str, user: str) -> Contact | None:
        for contact in self._app.configuration.response.contacts:
            addresses = {place.address for place in contact.channels if place.channel == channel}
            if user == contact.accounts.get(channel) or user in addresses:
                return contact
        return None

    def _audit(
        self, name: str, vendor: _Vendor, channel: str, answer: ExternalAnswer, source: str, outcome: str
    ) -> None:
        details = {"incident": answer.incident, "channel": channel, "event": answer.event, "source": source}
        self._trail.write(name, f"{answer.verb.value} by {vendor.name}", outcome, {**details, "user": answer.user})

    async def _reply(self, answer: ExternalAnswer, text: str) -> None:
        """Tell the person alone why nothing was done. Best effort: it is no more than a courtesy."""
        if not is_reply_address(answer.reply_url):
            return
        content = {"response_type": "ephemeral", "replace_original": False, "text": text}
        try:
            async with httpx2.AsyncClient(
                transport=OutboundTransport(OutboundRule(), shared_tls_context()),
                timeout=_REPLY_SECONDS,
                trust_env=False,
                follow_redirects=False,
            ) as client:
                await client.post(answer.reply_url, json=content)
        except httpx2.HTTPError as error:
            _log.warning("answers.reply_unsent", error=type(error).__name__)


def is_reply_address(url: str) -> bool:
    """Whether Slack itself is there; its signature says that it wrote the address, and this that it leads back."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return (parts.scheme, parts.hostname) == ("https", "hooks.slack.com")
