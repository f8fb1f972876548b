"""Ways to reach people: one module for each vendor, behind one small protocol."""

from orchestration.notifications.channels.board import Channels
from orchestration.notifications.channels.channel import Channel, Credentials, DeliveryError, Message

__all__ = ["Channel", "Channels", "Credentials", "DeliveryError", "Message"]
