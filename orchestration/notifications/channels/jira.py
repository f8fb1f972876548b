"""Jira, by version 2 of its REST API, which Jira Cloud and Data Center share:
https://developer.atlassian.com/cloud/jira/platform/rest/v2/intro/."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from orchestration.config.channels.tickets import JiraOptions
from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage, DeliveryError
from orchestration.notifications.channels.http import HttpPoster, ReceiverAnswer, encode, refusal
from orchestration.notifications.channels.tickets import NewTicket, TicketGoneError, TicketHandler, TicketRefusedError

_API = "/rest/api/2"
_GONE, _INVALID = (404, 410), 400
# Data Center has no such resource: https://developer.atlassian.com/changelog/#CHANGE-2046 replaced `/search` in Cloud.
_NO_SUCH_RESOURCE = (404, 405)
_ACCESS, _ACCESS_SECONDS = (401, 403), 300.0
_COMMENTS = 50
_DONE = "done"


class JiraChannel:
    """Makes issues in the projects whose keys are the contacts' addresses."""

    def __init__(self, context: ChannelContext) -> None:
        options = JiraOptions.model_validate(context.settings.options)
        self._jira = _Jira(context, options)
        self._tickets = TicketHandler(self._jira, options)

    async def send(self, message: ChannelMessage) -> str | None:
        """Make or follow the issue of a message; returns the address of a new one. Raises DeliveryError."""
        return await self._tickets.handle(message)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._jira.poster.aclose()


class _Jira:
    """The calls. An issue is named by its page, `https://HOST/browse/KEY`."""

    def __init__(self, context: ChannelContext, options: JiraOptions) -> None:
        self._context = context
        self._options = options
        self.poster = HttpPoster(context.clock, context.settings)

    async def check(self, place: str) -> None:
        await self._call("GET", f"/project/{quote(place)}")

    async def find(self, place: str, marker: str, since: datetime) -> str | None:  # noqa: ARG002 (the label suffices)
        query = {"jql": f'project = "{place}" AND labels = "{marker}"', "maxResults": 1, "fields": ["labels"]}
        try:
            found = await self._call("POST", "/search/jql", query)
        except DeliveryError as error:
            if not isinstance(error, TicketGoneError):
                raise
            found = await self._call("POST", "/search", query)
        issues = found.get("issues") or []
        return self._page(issues[0]) if issues else None

    async def create(self, ticket: NewTicket) -> str:
        fields: dict[str, Any] = {
            "project": {"key": ticket.place},
            "issuetype": {"name": self._options.issue_type},
            "summary": ticket.title,
            "description": _verbatim(ticket.text),
            "labels": [ticket.marker, *(label.replace(" ", "-") for label in ticket.labels)],
        }
        if ticket.assignees:
            fields["assignee"] = {"id" if self._is_cloud else "name": ticket.assignees[0]}
        return self._page(await self._call("POST", "/issue", {"fields": fields}))

    async def comment(self, ticket: str, text: str, marker: str) -> None:
        await self._answer("POST", f"{_path(ticket)}/comment", {"body": f"{_verbatim(text)}\n{marker}"})

    async def has_comment(self, ticket: str, marker: str) -> bool:
        path = f"{_path(ticket)}/comment?orderBy=-created&maxResults={_COMMENTS}"
        found = (await self._call("GET", path)).get("comments") or []
        return any(marker in str(one.get("body") or "") for one in found)

    async def close(self, ticket: str, *, done: bool) -> None:  # noqa: ARG002 (Jira's resolutions differ by site)
        await self._move(ticket, done=True)

    async def reopen(self, ticket: str) -> None:
        await self._move(ticket, done=False)

    async def _move(self, ticket: str, *, done: bool) -> None:
        """Take the transition that leads to a status that is done, or to one that is not. Where the workflow has none,
        or the issue is there already, it stays as it is: a person closes it."""
        issue = await self._call("GET", f"{_path(ticket)}?fields=status")
        if _is_done((issue.get("fields") or {}).get("status")) is done:
            return
        offered = (await self._call("GET", f"{_path(ticket)}/transitions")).get("transitions") or []
        fitting = [one for one in offered if _is_done(one.get("to")) is done]
        named = [one for one in fitting if done and one.get("name") == self._options.done]
        if fitting:
            chosen = (named or fitting)[0]["id"]
            await self._answer("POST", f"{_path(ticket)}/transitions", {"transition": {"id": chosen}})

    @property
    def _is_cloud(self) -> bool:
        return self._context.settings.username is not None

    def _page(self, issue: Mapping[str, Any]) -> str:
        return f"{self._context.url().rstrip('/')}/browse/{issue['key']}"

    async def _call(self, method: str, path: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        found = (await self._answer(method, path, data)).json()
        if not isinstance(found, dict):
            raise DeliveryError("Jira sent an invalid answer (not an object)", permanent=False, unclear=True)
        return found

    async def _answer(self, method: str, path: str, data: Mapping[str, Any] | None) -> ReceiverAnswer:
        headers = {"accept": "application/json", "authorization": self._authorization()}
        body = None if data is None else encode(data)
        if body is not None:
            headers["content-type"] = "application/json"
        answer = await self.poster.request(method, self._context.url().rstrip("/") + _API + path, body, headers)
        if not answer.accepted:
            raise _error(answer, self._context.clock.wall())
        return answer

    def _authorization(self) -> str:
        """An API token belongs to an account of Jira Cloud, and a personal access token of Data Center to nobody:
        https://developer.atlassian.com/cloud/jira/platform/basic-auth-for-rest-apis/,
        https://confluence.atlassian.com/enterprise/using-personal-access-tokens-1026032365.html."""
        token = self._context.secret("tokenEnv")
        if not self._is_cloud:
            return f"Bearer {token}"
        return f"Basic {base64.b64encode(f'{self._context.settings.username}:{token}'.encode()).decode()}"


def _error(answer: ReceiverAnswer, now: datetime) -> DeliveryError:
    error = refusal(answer, now)
    if answer.status in _ACCESS:
        # A token that has expired: somebody will renew it, and nothing may be lost until then.
        return DeliveryError(str(error), permanent=False, retry_after=_ACCESS_SECONDS)
    if answer.status in (*_GONE, *_NO_SUCH_RESOURCE):
        return TicketGoneError(str(error), permanent=True)
    return TicketRefusedError(str(error), permanent=True) if answer.status == _INVALID else error


def _is_done(status: Any) -> bool:
    """Whether a status belongs to the category of those that are done, whatever it is called."""
    return ((status or {}).get("statusCategory") or {}).get("key") == _DONE


def _path(ticket: str) -> str:
    return f"/issue/{quote(urlsplit(ticket).path.rpartition('/')[2], safe='')}"


def _verbatim(text: str) -> str:
    """The text as it is, without the meanings that Jira's markup has."""
    return "{noformat}\n" + text.replace("{noformat", "{ noformat") + "\n{noformat}"
