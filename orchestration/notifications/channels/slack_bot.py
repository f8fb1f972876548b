"""Slack, as an app with a bot token: https://docs.slack.dev/reference/methods/chat.postMessage.

Each incident has one message in a Slack channel, which always shows how things stand, and the thread below it, which
tells how they came to be so.
"""

from __future__ import annotations

from typing import Any

from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage, DeliveryError
from orchestration.notifications.channels.http import HttpPoster
from orchestration.notifications.channels.slack_blocks import plain_message, slack_message
from orchestration.notifications.notice import NoticeKind

ADDRESS = "https://slack.com/api"
# The errors after which the same request may succeed; all others, about a token, a channel or a scope, are for good:
# https://docs.slack.dev/reference/methods/chat.postMessage#errors.
_TEMPORARY = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
    | {"team_added_to_org", "message_limit_exceeded", "accesslimited"}
)
# The incident's message is gone, or nobody may change it any more; the next notice begins a new one:
# https://docs.slack.dev/reference/methods/chat.update#errors.
_UNCHANGEABLE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"})
# Slack does not accept the layout, such as one that is longer than a limit that it does not document.
_LAYOUT = frozenset(
    {"invalid_blocks", "invalid_attachments", "msg_blocks_too_long", "msg_too_long", "too_many_attachments"}
)
# These say nothing about how the incident stands, so they are in the thread alone.
_ASIDE = frozenset({NoticeKind.APPROVAL, NoticeKind.REMINDER})
# Nobody is notified of an answer in a thread that they do not follow, so these are shown in the channel as well.
_BROADCAST = frozenset(
    {NoticeKind.INITIAL, NoticeKind.ESCALATION, NoticeKind.AT_RISK, NoticeKind.APPROVAL, NoticeKind.REMINDER}
)


class _RefusedError(DeliveryError):
    """Slack answered with an error of its own."""

    def __init__(self, error: str) -> None:
        self.error = error
        super().__init__(f"Slack answered: {error}", permanent=error not in _TEMPORARY)


class SlackBotChannel:
    """Posts to Slack channels and to people, whose ids are the contacts' addresses."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context
        self._poster = HttpPoster(context.clock, context.settings)

    async def send(self, message: ChannelMessage) -> str | None:
        """Post the first message about an incident; bring it up to date and answer below it with every further one.

        Returns where the incident's message is, when that is news. Raises DeliveryError.
        """
        answers = self._context.settings.secret_env is not None
        try:
            return await self._send(message, slack_message(message, answers=answers))
        except _RefusedError as refusal:
            if refusal.error not in _LAYOUT:
                raise
            # A page with a plain look is better than none.
            return await self._send(message, plain_message(message))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._poster.aclose()

    async def _send(self, message: ChannelMessage, content: dict[str, Any]) -> str | None:
        channel, _, stamp = message.thread.partition("/")
        if not stamp:
            return await self._post(message.address or "", content)
        try:
            # First what may be repeated without harm: if the answer below fails, both are done again.
            if message.notice.kind not in _ASIDE:
                await self._call("chat.update", {**content, "channel": channel, "ts": stamp})
            broadcast = message.notice.kind in _BROADCAST
            reply = {**content, "channel": channel, "thread_ts": stamp, "reply_broadcast": broadcast}
            await self._call("chat.postMessage", reply)
        except _RefusedError as refusal:
            if refusal.error not in _UNCHANGEABLE:
                raise
            return await self._post(message.address or "", content)
        return None

    async def _post(self, channel: str, content: dict[str, Any]) -> str:
        answer = await self._call("chat.postMessage", {**content, "channel": channel})
        # The channel of the answer, since a message to a person is posted in a channel that has an id of its own.
        return f"{answer.get('channel') or channel}/{answer.get('ts', '')}"

    async def _call(self, method: str, data: dict[str, Any]) -> dict[str, Any]:
        """Call a method of the Web API, which answers 200 even to what it refuses."""
        url = f"{(self._context.settings.url or ADDRESS).rstrip('/')}/{method}"
        headers = {"authorization": f"Bearer {self._context.secret('tokenEnv')}"}
        answer = await self._poster.call_json(url, data, headers)
        if answer.get("ok") is not True:
            raise _RefusedError(str(answer.get("error", "neither ok nor an error"))[:100])
        return answer
