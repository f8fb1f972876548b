"""Push messages to browsers and installed pages, by whichever push service each has: RFC 8030, 8291 and 8292."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import anyio
import anyio.to_thread

from orchestration.domain.message_verb import MessageVerb
from orchestration.errors import NotFoundError
from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage, DeliveryError
from orchestration.notifications.channels.http import HttpPoster, encode
from orchestration.notifications.channels.text_limits import shorten
from orchestration.notifications.notice import NoticeKind
from orchestration.notifications.web_push import WebPushAccess
from orchestration.storage.push_subscriptions import PushSubscription

# How long a push service keeps a message for a device that is switched off.
_KEPT_SECONDS = 4 * 3600
# The subscription has ended, because its user or the browser has ended it (RFC 8030, 7.3).
_GONE = (404, 410)
# Of the 3,993 bytes that every push service takes; the rest is room for two addresses.
_TITLE_BYTES, _BODY_BYTES = 400, 1_600
_REMEMBERED = 1_000


class WebPushChannel:
    """Sends to all devices of a user, whose name is the contact's address."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context
        self._poster = HttpPoster(context.clock, context.settings)
        # Which devices have a message already: when it is sent again for the others, these are left out. After a
        # restart they may get it twice, and show it once, since it has the same tag.
        self._accepted: OrderedDict[str, set[str]] = OrderedDict()

    async def send(self, message: ChannelMessage) -> None:
        """Send to every device; those that have ended their subscription are removed. Raises DeliveryError, for which
        it is sent again, until all others have accepted."""
        access, user = self._context.web_push, message.address or ""
        if access is None:
            raise DeliveryError("push messages cannot be sent without the database", permanent=True)
        devices = await anyio.to_thread.run_sync(access.subscriptions.of_user, user)
        if not devices:
            raise DeliveryError(f"{user} has subscribed no device", permanent=True)
        accepted = self._accepted_of(message.key)
        failures: list[DeliveryError] = []
        async with anyio.create_task_group() as group:
            for device in devices:
                if device.id not in accepted:
                    group.start_soon(self._send_to, device, message, access, failures)
        _raise_for(failures, reached=bool(accepted))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._poster.aclose()

    async def _send_to(
        self, device: PushSubscription, message: ChannelMessage, access: WebPushAccess, failures: list[DeliveryError]
    ) -> None:
        try:
            body, headers = await anyio.to_thread.run_sync(self._request, device, message, access)
            await self._poster.post(device.endpoint, body, headers)
        except DeliveryError as error:
            failures.append(error)
            if error.status in _GONE:
                await anyio.to_thread.run_sync(_forget, access, device)
        else:
            self._accepted_of(message.key).add(device.id)

    def _request(
        self, device: PushSubscription, message: ChannelMessage, access: WebPushAccess
    ) -> tuple[bytes, dict[str, str]]:
        # Here, because loading the library takes long, and few installations send push messages.
        from orchestration.notifications import push_encryption

        contact, now = self._context.settings.sender or "", self._context.clock.wall()
        try:
            proof = push_encryption.authorization(access.key(self._context.settings), device.endpoint, contact, now)
            body = push_encryption.encrypt(payload(message), device.public_key, device.auth_secret)
        except (OSError, ValueError) as error:
            raise DeliveryError(f"the message for {device.label} cannot be made: {error}", permanent=True) from error
        return body, {
            "authorization": proof,
            "content-type": "application/octet-stream",
            "content-encoding": "aes128gcm",
            "ttl": str(_KEPT_SECONDS),
            "urgency": "high" if is_urgent(message) else "normal",
            # Of what a device has missed of an incident, only the newest is news (RFC 8030, 5.4).
            "topic": hashlib.sha256(message.notice.incident_id.encode()).hexdigest()[:32],
        }

    def _accepted_of(self, key: str) -> set[str]:
        found = self._accepted.setdefault(key, set())
        if len(self._accepted) > _REMEMBERED:
            self._accepted.popitem(last=False)
        return found


def payload(message: ChannelMessage) -> bytes:
    """What the service worker shows, as JSON."""
    notice = message.notice
    acknowledge = next((link.url for link in message.links if link.verb is MessageVerb.ACKNOWLEDGE), "")
    shown = {
        "title": shorten(message.subject, _TITLE_BYTES, _bytes),
        "body": shorten(message.plain_body, _BODY_BYTES, _bytes),
        "tag": notice.incident_id,
        "url": notice.url,
        "acknowledge": acknowledge,
        "urgent": is_urgent(message),
    }
    return encode(shown)


def _bytes(text: str) -> int:
    """What a text takes in JSON."""
    return len(encode(text)) - 2


def is_urgent(message: ChannelMessage) -> bool:
    """Whether a device that saves power is woken, and the message stays until somebody has seen it."""
    return message.notice.kind.is_page or message.notice.kind is NoticeKind.TEST


def _forget(access: WebPushAccess, device: PushSubscription) -> None:
    try:
        access.subscriptions.remove(device.id)
    except NotFoundError:  # its user was quicker
        return


def _raise_for(failures: Sequence[DeliveryError], *, reached: bool) -> None:
    temporary = [each for each in failures if not each.permanent]
    if not failures or (reached and not temporary):
        return
    waits = [each.retry_after for each in temporary if each.retry_after is not None]
    raise DeliveryError(
        "; ".join(dict.fromkeys(str(each) for each in temporary or failures)),
        permanent=not temporary,
        retry_after=max(waits, default=None),
        unclear=any(each.unclear for each in temporary),
    )
