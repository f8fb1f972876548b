"""Checks of the settings of channels, shared by their descriptors. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from orchestration.config.channels.descriptor import AddressFormat
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.document import JsonPath
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem

# What browsers accept (https://html.spec.whatwg.org/#valid-e-mail-address), with the letters of RFC 6531 as well.
# RFC 5322 allows more, such as quoted names with spaces, which in a list of contacts is a slip rather than an address.
EMAIL = AddressFormat(
    noun="e-mail address",
    example="name@domain",
    pattern=re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[^\W_](?:[\w.-]*[^\W_])?"),
)
# The id of a channel, a group, a person or a direct message: https://docs.slack.dev/reference/objects/conversation-object.
SLACK_ID = AddressFormat(
    noun="id of a Slack channel or person",
    example="C0123456789 or U0123456789",
    pattern=re.compile(r"[CDGUW][A-Z0-9]{8,20}"),
)
# https://docs.github.com/en/rest/repos/repos: an owner of letters, digits and hyphens, and a repository.
GITHUB_REPOSITORY = AddressFormat(
    noun="GitHub repository",
    example="owner/name",
    pattern=re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}"),
)
# https://support.atlassian.com/jira-cloud-administration/docs/change-the-project-key-format/
JIRA_PROJECT = AddressFormat(
    noun="key of a Jira project",
    example="OPS",
    pattern=re.compile(r"[A-Z][A-Z0-9_]{1,254}"),
)
USER = AddressFormat(
    noun="name of a user of the dashboard",
    example="ada",
    pattern=re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"),
)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check_url(name: str, settings: ChannelSettings, path: JsonPath) -> Iterator[Problem]:
    """A URL in the file is one that HTTP can reach. One in a variable is first seen when a message is sent."""
    if settings.url and not is_http_url(settings.url):
        message, expected = f'the URL of the channel "{name}" cannot be used', "an http:// or https:// URL"
        yield Problem(FindingCode.BAD_CHANNEL_URL, (*path, "url"), message, expected, "Write the whole URL.")


def check_sender(_name: str, settings: ChannelSettings, path: JsonPath) -> Iterator[Problem]:
    """The sender of mails is an e-mail address."""
    if settings.sender and not EMAIL.accepts(settings.sender):
        message = "the sender is not an e-mail address"
        yield Problem(FindingCode.BAD_EMAIL_ADDRESS, (*path, "sender"), message, EMAIL.example)


def check_encryption(name: str, settings: ChannelSettings, path: JsonPath) -> Iterator[Problem]:
    """A password travels encrypted, except to this machine."""
    if settings.tls == "none" and settings.username and settings.host not in _LOOPBACK:
        message = f'the channel "{name}" would send its password unencrypted'
        yield Problem(FindingCode.PLAIN_PASSWORD, (*path, "tls"), message, '"starttls" or "implicit"')


def is_http_url(address: str) -> bool:
    """Whether an address is a whole http:// or https:// URL."""
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and " " not in address
    except ValueError:
        return False
