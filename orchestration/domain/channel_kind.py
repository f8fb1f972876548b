"""The kinds of channel on which people are reached."""

from __future__ import annotations

from enum import StrEnum


class ChannelKind(StrEnum):
    """Ways to reach somebody."""

    LOG = "log"
    CONSOLE = "console"
    EMAIL = "email"
    WEBHOOK = "webhook"
    SLACK = "slack"
    TEAMS = "teams"
    PAGERDUTY = "pagerduty"
    ALERTMANAGER = "alertmanager"
    APPRISE = "apprise"
