"""GitHub issues, by the REST API: https://docs.github.com/en/rest/issues/issues."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestration.config.channels.tickets import GithubIssuesOptions
from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage, DeliveryError
from orchestration.notifications.channels.http import HttpPoster, ReceiverAnswer, encode, refusal
from orchestration.notifications.channels.tickets import NewTicket, TicketGoneError, TicketHandler, TicketRefusedError

ADDRESS = "https://api.github.com"
_VERSION = "2022-11-28"
_PAGE, _PAGES = 50, 20
_MOST_BYTES = 8_000_000  # fifty issues of 65,536 characters, escaped
_GONE = (404, 410)
_INVALID = 422
# Where a limit is exceeded and the answer names no time: "wait for at least one minute",
# https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api.
_MINUTE = 60.0
# A token that has expired or may not write here yet: somebody will renew it, and nothing may be lost until then.
_ACCESS, _ACCESS_SECONDS = (401, 403), 300.0
_MOST_WAIT = 3600.0
# The clock of GitHub's servers may be behind ours.
_CLOCKS = timedelta(minutes=10)


class GithubIssuesChannel:
    """Makes issues in the repositories that are the contacts' addresses."""

    def __init__(self, context: ChannelContext) -> None:
        options = GithubIssuesOptions.model_validate(context.settings.options)
        self._issues = _GithubIssues(context)
        self._tickets = TicketHandler(self._issues, options)

    async def send(self, message: ChannelMessage) -> str | None:
        """Make or follow the issue of a message; returns the address of a new one. Raises DeliveryError."""
        return await self._tickets.handle(message)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._issues.poster.aclose()


class _GithubIssues:
    """The calls. An issue is named by its page, `https://HOST/OWNER/NAME/issues/NUMBER`."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context
        self.poster = HttpPoster(context.clock, context.settings)

    async def check(self, place: str) -> None:
        found = await self._call("GET", f"/repos/{place}")
        if not found.get("has_issues", True):
            raise DeliveryError(f"{place} has no issues; switch them on in its settings", permanent=True)

    async def find(self, place: str, marker: str, since: datetime) -> str | None:
        # By listing and not by GitHub's search, whose index may lag behind by minutes.
        moment = (since - _CLOCKS).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = f"state=all&sort=created&direction=asc&per_page={_PAGE}&since={moment}"
        async for issue in self._pages(f"/repos/{place}/issues?{query}"):
            if _comment(marker) in str(issue.get("body") or ""):
                return str(issue["html_url"])
        return None

    async def create(self, ticket: NewTicket) -> str:
        body = f"{_quoted(ticket.text)}\n\n{_comment(ticket.marker)}"
        fields = {"title": ticket.title, "body": body, "labels": ticket.labels, "assignees": ticket.assignees}
        answer = await self._call("POST", f"/repos/{ticket.place}/issues", fields)
        return str(answer["html_url"])

    async def comment(self, ticket: str, text: str, marker: str) -> None:
        await self._call_issue("POST", ticket, "/comments", {"body": f"{_quoted(text)}\n\n{_comment(marker)}"})

    async def has_comment(self, ticket: str, marker: str) -> bool:
        path = f"{_path(ticket)}/comments?per_page={_PAGE}"
        return any([_comment(marker) in str(one.get("body") or "") async for one in self._pages(path)])

    async def close(self, ticket: str, *, done: bool) -> None:
        reason = "completed" if done else "not_planned"
        await self._call_issue("PATCH", ticket, "", {"state": "closed", "state_reason": reason})

    async def reopen(self, ticket: str) -> None:
        await self._call_issue("PATCH", ticket, "", {"state": "open"})

    async def _pages(self, path: str) -> Any:
        for page in range(1, _PAGES + 1):
            found = (await self._answer("GET", f"{path}&page={page}", None)).json()
            for one in found:
                yield one
            if len(found) < _PAGE:
                return

    async def _call_issue(self, method: str, ticket: str, below: str, data: Mapping[str, Any]) -> None:
        await self._answer(method, _path(ticket) + below, data)

    async def _call(self, method: str, path: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        found = (await self._answer(method, path, data)).json()
        if not isinstance(found, dict):
            raise DeliveryError("GitHub sent an invalid answer (not an object)", permanent=False, unclear=True)
        return found

    async def _answer(self, method: str, path: str, data: Mapping[str, Any] | None) -> ReceiverAnswer:
        url = f"{(self._context.settings.url or ADDRESS).rstrip('/')}{path}"
        headers = {
            "accept": "application/vnd.github+json",
            "authorization": f"Bearer {self._context.secret('tokenEnv')}",
            "content-type": "application/json",
            "x-github-api-version": _VERSION,
        }
        body = None if data is None else encode(data)
        answer = await self.poster.request(method, url, body, headers, _MOST_BYTES)
        if not answer.accepted:
            raise _error(answer, self._context.clock.wall())
        return answer


def _error(answer: ReceiverAnswer, now: datetime) -> DeliveryError:
    """What an answer means that is no success."""
    error = refusal(answer, now)
    if (wait := _limited(answer, error.retry_after, now)) is not None:
        return DeliveryError(str(error), permanent=False, retry_after=wait)
    if answer.status in _ACCESS:
        return DeliveryError(str(error), permanent=False, retry_after=_ACCESS_SECONDS)
    if answer.status in _GONE:
        return TicketGoneError(str(error), permanent=True)
    return TicketRefusedError(str(error), permanent=True) if answer.status == _INVALID else error


def _limited(answer: ReceiverAnswer, retry_after: float | None, now: datetime) -> float | None:
    """How long to wait because of a limit, the primary or a secondary one; None if it is none."""
    if answer.status not in (403, 429):
        return None
    if retry_after is not None:
        return retry_after
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        return min(_MOST_WAIT, max(1.0, float(reset) - now.timestamp()))
    # Only the text tells a secondary limit from a missing permission where there is no header.
    return _MINUTE if answer.status == 429 or b"rate limit" in answer.body.lower() else None


def _path(ticket: str) -> str:
    found = re.search(r"/([^/]+/[^/]+)/issues/(\d+)$", ticket)
    if found is None:
        raise TicketGoneError(f"{ticket} is not the address of an issue", permanent=True)
    return f"/repos/{found[1]}/issues/{found[2]}"


def _comment(marker: str) -> str:
    return f"<!-- {marker} -->"


def _quoted(text: str) -> str:
    """The text as it is: nothing in it mentions anybody, is a link or closes another issue."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
