"""The registry of channel kinds: those that ship with the product, and users' own.

To add one to the product, add its name to `ChannelKind`, a descriptor here, and a module in `notifications/channels`. A
user's package names its descriptor under the entry point `orchestration.channels`.
"""

from __future__ import annotations

from types import MappingProxyType

from orchestration import logs
from orchestration.config.channels.checks import (
    EMAIL,
    GITHUB_REPOSITORY,
    JIRA_PROJECT,
    SLACK_ID,
    USER,
    check_encryption,
    check_sender,
    check_url,
)
from orchestration.config.channels.descriptor import ChannelDescriptor
from orchestration.config.channels.settings import OWN_KIND, ChannelSettings
from orchestration.config.channels.tickets import GithubIssuesOptions, JiraOptions
from orchestration.domain.channel_kind import ChannelKind
from orchestration.plugins import PluginError, plugin_registry

GROUP = "orchestration.channels"
_MODULES = "orchestration.notifications.channels"
_log = logs.get_logger("notifications")

_SHIPPED = (
    ChannelDescriptor(
        ChannelKind.LOG,
        "the log; built in, need not be described",
        f"{_MODULES}.local:LogChannel",
        carries_links=False,
    ),
    ChannelDescriptor(
        ChannelKind.CONSOLE,
        "standard error; built in, need not be described",
        f"{_MODULES}.local:ConsoleChannel",
        carries_links=False,
    ),
    ChannelDescriptor(
        ChannelKind.EMAIL,
        "mail over SMTP; `tls` is `starttls` (the default), `implicit` or `none`",
        f"{_MODULES}.email:EmailChannel",
        shared=True,
        required=("host", "sender"),
        optional=("port", "tls", "username", "passwordEnv"),
        address=EMAIL,
        checks=(check_sender, check_encryption),
        # Our own caution: providers' limits differ, and many count messages a minute or a day.
        per_second=5.0,
    ),
    ChannelDescriptor(
        ChannelKind.WEBHOOK,
        "a service of your own; signed where `secretEnv` is set, see below",
        f"{_MODULES}.webhook:WebhookChannel",
        required=("urlEnv",),
        optional=("url", "secretEnv"),
        checks=(check_url,),
    ),
    ChannelDescriptor(
        ChannelKind.SLACK,
        "an incoming webhook",
        f"{_MODULES}.slack:SlackChannel",
        shared=True,
        required=("urlEnv",),
        checks=(check_url,),
        # https://docs.slack.dev/apis/web-api/rate-limits/: one message a second for each webhook, short bursts allowed.
        per_second=1.0,
        limits="one message a second; each notice is a message of its own, and nobody can acknowledge from there",
    ),
    ChannelDescriptor(
        ChannelKind.SLACK_BOT,
        "an app of your own: one message for each incident, which is kept up to date, and its timeline in the thread; "
        "`secretEnv`, the signing secret, adds buttons",
        f"{_MODULES}.slack_bot:SlackBotChannel",
        shared=True,
        required=("tokenEnv",),
        optional=("secretEnv", "url"),
        address=SLACK_ID,
        checks=(check_url,),
        # https://docs.slack.dev/apis/web-api/rate-limits/: one message a second for each channel, short bursts allowed.
        per_second=1.0,
        limits="one message a second",
    ),
    ChannelDescriptor(
        ChannelKind.TEAMS,
        'a workflow that starts "when a Teams webhook request is received"',
        f"{_MODULES}.teams:TeamsChannel",
        shared=True,
        required=("urlEnv",),
        checks=(check_url,),
        # https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using: more than
        # four requests in a second are throttled, and stay so for a while.
        per_second=1.0,
        limits="one message a second, 28 kB; one-way, nobody can acknowledge from there",
    ),
    ChannelDescriptor(
        ChannelKind.PAGERDUTY,
        "Events API v2; `url` for another region; `secretEnv`: that of a webhook v3, by which answers come back",
        f"{_MODULES}.pagerduty:PagerDutyChannel",
        shared=True,
        required=("routingKeyEnv",),
        optional=("url", "secretEnv"),
        checks=(check_url,),
        # https://developer.pagerduty.com/docs/events-api-v2/overview/: 120 events a minute for each integration key.
        per_second=2.0,
        limits="two messages a second; our incident is their alert and follows it to its end; no reports",
        # A report is not an alert, and there is nothing in PagerDuty that it could be.
        carries_reports=False,
        carries_links=False,
    ),
    ChannelDescriptor(
        ChannelKind.ALERTMANAGER,
        '`secretEnv`: a bearer token; alerts `OrchestratorIncident` with the label `origin="agent-orchestration"`',
        f"{_MODULES}.alertmanager:AlertmanagerChannel",
        shared=True,
        required=("urlEnv",),
        optional=("url", "secretEnv"),
        checks=(check_url,),
        limits="no reports, no reminders",
        carries_reports=False,
        carries_links=False,
        # Alertmanager knows only alerts that fire and alerts that are resolved: a reminder, which comes after the end,
        # would make the alert fire again.
        carries_reminders=False,
    ),
    ChannelDescriptor(
        ChannelKind.APPRISE,
        "about a hundred services; needs `pip install 'agent-orchestration[apprise]'`",
        f"{_MODULES}.apprise:AppriseChannel",
        shared=True,
        required=("urlEnv",),
        limits="Apprise does not say why a message failed, so every failure is tried again",
    ),
    ChannelDescriptor(
        ChannelKind.GITHUB_ISSUES,
        "a ticket for each incident and action item; `url` for GitHub Enterprise (`https://HOST/api/v3`)",
        f"{_MODULES}.github_issues:GithubIssuesChannel",
        shared=True,
        required=("tokenEnv",),
        optional=("url",),
        options=GithubIssuesOptions,
        address=GITHUB_REPOSITORY,
        checks=(check_url,),
        # https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api: a second between
        # requests that change something.
        per_second=1.0,
        limits="one change a second; no reports, no reminders",
        carries_reports=False,
        carries_reminders=False,
        # Everybody who reads the ticket could answer for its recipient.
        carries_links=False,
        makes_tickets=True,
    ),
    ChannelDescriptor(
        ChannelKind.JIRA,
        "a ticket for each incident and action item, in Jira Cloud (with `username`) or Data Center",
        f"{_MODULES}.jira:JiraChannel",
        shared=True,
        required=("urlEnv", "tokenEnv"),
        optional=("url", "username"),
        options=JiraOptions,
        address=JIRA_PROJECT,
        checks=(check_url,),
        # Our own caution: Jira's limits are a budget for all of its clients together.
        per_second=1.0,
        limits="one change a second; no reports, no reminders",
        carries_reports=False,
        carries_reminders=False,
        carries_links=False,
        makes_tickets=True,
    ),
    ChannelDescriptor(
        ChannelKind.WEB_PUSH,
        "push messages to the browsers and installed pages of a user of the dashboard; `sender` is the e-mail address "
        "that push services write to, `secretEnv` a VAPID key, which is otherwise made and kept in the state directory",
        f"{_MODULES}.web_push:WebPushChannel",
        shared=True,
        required=("sender",),
        optional=("secretEnv",),
        address=USER,
        checks=(check_sender,),
        limits="a device that is switched off gets the newest message of an incident within four hours; needs the "
        "dashboard at an https:// address",
    ),
)
SHIPPED_CHANNELS = MappingProxyType({descriptor.name: descriptor for descriptor in _SHIPPED})

# Every machine has these, whether the file names them or not.
BUILT_IN_CHANNELS = MappingProxyType(
    {
        ChannelKind.LOG.value: ChannelSettings(type=ChannelKind.LOG),
        ChannelKind.CONSOLE.value: ChannelSettings(type=ChannelKind.CONSOLE),
    }
)


def find_channel_kind(name: str) -> ChannelDescriptor | None:
    """The descriptor of a kind; None where no package that can be used has it.

    Nothing of a user's is imported until one of their kinds is asked for.
    """
    shipped = SHIPPED_CHANNELS.get(name)
    if shipped is not None:
        return shipped
    return next((descriptor for descriptor in own_channel_kinds().usable if descriptor.name == name), None)


def _validate(found: object) -> ChannelDescriptor:
    if not isinstance(found, ChannelDescriptor):
        raise PluginError(f"it names {found!r}, which is not a ChannelDescriptor")
    if not OWN_KIND.fullmatch(found.name):
        raise PluginError(f"its name '{found.name}' is not of the form own.push")
    if ":" not in found.factory:
        raise PluginError(f"its factory '{found.factory}' is not of the form module:class")
    if unknown := [key for key in (*found.required, *found.optional) if key not in _setting_keys()]:
        raise PluginError(f"the keys {', '.join(unknown)} do not exist; settings of its own go into `options`")
    return found


def _setting_keys() -> set[str]:
    return {field.alias or name for name, field in ChannelSettings.model_fields.items()}


own_channel_kinds = plugin_registry(
    GROUP, "channel", _validate, lambda problem: _log.warning("channel.plugin_broken", message=problem)
)
