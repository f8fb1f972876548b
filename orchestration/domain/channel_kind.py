"""The kinds of notification channel that ship with the product."""

from __future__ import annotations

from enum import StrEnum


class ChannelKind(StrEnum):
    """The value of `type` in a channel's settings. A user's own kinds have a full stop in the name and are not here."""

    LOG = "log"
    CONSOLE = "console"
    EMAIL = "email"
    WEBHOOK = "webhook"
    SLACK = "slack"
    SLACK_BOT = "slack-bot"
    TEAMS = "teams"
    PAGERDUTY = "pagerduty"
    ALERTMANAGER = "alertmanager"
    APPRISE = "apprise"
    GITHUB_ISSUES = "github-issues"
    JIRA = "jira"
    WEB_PUSH = "web-push"
