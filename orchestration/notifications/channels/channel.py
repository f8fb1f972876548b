"""The interface of channels, and what they are made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestration.clock import Clock
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.credentials import CredentialSource
from orchestration.notifications.message_links import MessageLink, with_links
from orchestration.notifications.notice import Notice
from orchestration.notifications.web_push import WebPushAccess


@dataclass(frozen=True, slots=True)
class ChannelMessage:
    """One message, redacted, to one contact, or to several who share an address: then `contact` names all. `key` is the
    same each time it is sent, so that receivers recognise it.

    `thread` is what `Channel.send` has returned for an earlier message about the same incident to the same recipient;
    empty for the first one. `may_have_arrived` says that an earlier try may have reached the recipient. `links` are
    signed links by which the recipient can answer; they are secret. `body` has them at its end, and `plain_body`, for
    channels that show them in another way, has not.
    """

    key: str
    contact: str
    address: str | None
    subject: str
    plain_body: str
    notice: Notice
    created_at: datetime
    thread: str = ""
    may_have_arrived: bool = False
    links: tuple[MessageLink, ...] = ()

    @property
    def body(self) -> str:
        """The text with its links."""
        return with_links(self.plain_body, self.links)

    @property
    def text(self) -> str:
        """The whole text in the playbook's form: subject, a blank line, body."""
        return f"{self.subject}\n\n{self.body}"


class DeliveryError(Exception):
    """A message was not delivered.

    `permanent`: sending it again will not help. `retry_after`: the seconds that the receiver asked us to wait.
    `unclear`: it was handed over, but the answer was lost, so it may have arrived all the same. `status` is that of an
    HTTP answer. The text may quote the receiver's answer, so redact it before it is shown.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool,
        retry_after: float | None = None,
        unclear: bool = False,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.unclear = unclear
        self.permanent = permanent
        self.retry_after = retry_after


class Channel(Protocol):
    """A way to reach people."""

    async def send(self, message: ChannelMessage) -> str | None:
        """Send a message; returns when the receiver has accepted it. Raises DeliveryError.

        Returns what further messages about the incident need, in order to follow this one in one conversation; or None.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True)
class ChannelContext:
    """What a channel is made from. Secrets are read at each message, so that a new `.env` counts without a restart.
    `web_push` is None where there is no database."""

    settings: ChannelSettings
    credentials: CredentialSource
    clock: Clock
    web_push: WebPushAccess | None = None

    def secret(self, key: str) -> str:
        """The value of the environment variable that a key such as `secretEnv` names. Raises DeliveryError."""
        variable = self.settings.variables.get(key)
        value = None if variable is None else self.credentials.get(variable)
        if value is None:
            wanted = f"{variable} is not set; put {variable}=… into .env" if variable else f'"{key}" is not set'
            raise DeliveryError(wanted, permanent=True)
        return value

    def url(self) -> str:
        """The channel's URL, from its variable or from the file. Raises DeliveryError."""
        settings = self.settings
        return settings.url if settings.url and not settings.url_env else self.secret("urlEnv")
