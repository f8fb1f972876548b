"""Notification channels: one module for each vendor, behind one small protocol."""

from orchestration.notifications.channels.channel import Channel, ChannelContext, ChannelMessage, DeliveryError
from orchestration.notifications.channels.registry import ChannelRegistry

__all__ = ["Channel", "ChannelContext", "ChannelMessage", "ChannelRegistry", "DeliveryError"]
