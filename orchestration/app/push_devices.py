"""The devices on which the users of the dashboard get push messages: subscribing, removing, and a test message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from orchestration.app.contacts import test_notice
from orchestration.app.project import ProjectRecords
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.response import Contact, ContactAddress
from orchestration.domain.channel_kind import ChannelKind
from orchestration.errors import ConflictError, UsageError
from orchestration.notifications.recipients import message_row
from orchestration.notifications.web_push import WebPushAccess
from orchestration.outbound import is_private_name
from orchestration.security import link_key
from orchestration.storage.outbox import Outbox, OutboxRow
from orchestration.storage.push_subscriptions import PushSubscription, PushSubscriptions, subscription_id

MOST_DEVICES = 10
_LONGEST_ENDPOINT, _LONGEST_LABEL = 2_000, 100


class PushDevices:
    """The devices of all users."""

    def __init__(self, project: ProjectRecords) -> None:
        self._project = project
        self._subscriptions = PushSubscriptions(project.database)
        self.access = WebPushAccess(self._subscriptions, self._key)

    @property
    def channel(self) -> ChannelSettings | None:
        """The first channel by which push messages are sent; None where there is none."""
        found = self._project.configuration.response.channels.values()
        return next((one for one in found if one.type == ChannelKind.WEB_PUSH and one.enabled), None)

    def public_key(self) -> str:
        """The key that browsers subscribe to. Raises ConflictError where no push messages can be sent."""
        from orchestration.notifications.push_encryption import public_key_of

        try:
            return public_key_of(self._key(self._channel()))
        except (OSError, ValueError) as error:
            raise ConflictError(f"The key of push messages cannot be used: {error}.") from error

    def of_user(self, user: str) -> Sequence[PushSubscription]:
        """The devices of a user."""
        return self._subscriptions.of_user(user)

    def reaches(self, user: str) -> bool:
        """Whether a contact has a push channel with this user as its address."""
        return any(self._places(user))

    def subscribe(
        self, user: str, endpoint: str, public_key: str, auth_secret: str, label: str, *, replaces: str = ""
    ) -> PushSubscription:
        """Add a device, in the place of that with the address `replaces`: push services give new ones from time to
        time. Raises UsageError for what no browser sends, ConflictError for too many devices."""
        from orchestration.notifications.push_encryption import read_keys

        self._check_endpoint(endpoint, self._channel())
        try:
            read_keys(public_key, auth_secret)
        except ValueError as error:
            raise UsageError(f"These are no keys of a push subscription: {error}.") from error
        mine = {each.id: each for each in self.of_user(user)}
        earlier = mine.pop(subscription_id(replaces), None)
        name = " ".join(label.split())[:_LONGEST_LABEL] or (earlier.label if earlier else "a browser")
        now, text = self._project.clock.now(), self._project.redactor.text
        one = PushSubscription(subscription_id(endpoint), user, endpoint, public_key, auth_secret, text(name), now)
        mine.pop(one.id, None)
        if len(mine) >= MOST_DEVICES:
            raise ConflictError(f"{user} has {len(mine)} devices already. Remove one first.")
        self._subscriptions.put(one, [earlier.id] if earlier else [])
        return one

    def remove(self, user: str, device: str) -> None:
        """Remove a device of a user. Raises NotFoundError."""
        self._subscriptions.remove(device, user)

    def send_test(self, user: str) -> Sequence[OutboxRow]:
        """Plan a test message to the devices of a user. Raises ConflictError where none would come."""
        if not self.of_user(user):
            raise ConflictError("You have subscribed no device.")
        now = self._project.clock.now()
        notice = test_notice(now, user)
        rows = [message_row(notice, contact, place, "test", now) for contact, place in self._places(user)]
        if not rows:
            raise ConflictError(f"No contact has a push channel with the address {user}.")
        Outbox(self._project.database, self._project.redactor.data).add(rows)
        return rows

    def _places(self, user: str) -> Iterator[tuple[Contact, ContactAddress]]:
        response = self._project.configuration.response
        for contact in response.contacts:
            for place in response.reachable(contact):
                settings = response.channel(place.channel)
                if settings is not None and settings.type == ChannelKind.WEB_PUSH and place.address == user:
                    yield contact, place

    def _channel(self) -> ChannelSettings:
        found = self.channel
        if found is None:
            raise ConflictError("The configuration has no channel of the type web-push.")
        return found

    def _key(self, settings: ChannelSettings) -> str:
        """The private key. Raises OSError, and ValueError where the variable with it is not set."""
        if settings.secret_env is not None:
            key = self._project.store.credentials.get(settings.secret_env)
            if key is None:
                raise ValueError(f"{settings.secret_env} is not set")
            return key
        key = link_key.load_or_create(self._project.state_folder / link_key.WEB_PUSH_FILE)
        self._project.redactor.remember([key])
        return key

    @staticmethod
    def _check_endpoint(endpoint: str, settings: ChannelSettings) -> None:
        """Whoever subscribes says where we connect to, so it must be a public address unless the operator allows it."""
        try:
            parts = urlsplit(endpoint)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise UsageError("The address of the push service is no URL.") from None
        if parts.scheme != "https" or not host or parts.username or len(endpoint) > _LONGEST_ENDPOINT:
            raise UsageError("expected an https:// address of a push service")
        if is_private_name(host) and not settings.private_network:
            raise UsageError(f"{host} is a private address; set privateNetwork of the channel if it is meant.")
