"""What push messages rest on besides the channel's settings: the devices of users, and the key of the sender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestration.config.channels.settings import ChannelSettings
from orchestration.storage.push_subscriptions import PushSubscriptions


@dataclass(frozen=True, slots=True)
class WebPushAccess:
    """The devices in the database. `key` returns the private key of the sender (P-256, 32 bytes in base64url) by the
    settings of a channel, and raises OSError or ValueError."""

    subscriptions: PushSubscriptions
    key: Callable[[ChannelSettings], str]
