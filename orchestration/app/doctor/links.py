"""Whether messages carry links by which a person can answer without signing in."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from orchestration.app.doctor.diagnosis import CheckResult, ok, warning
from orchestration.config.channels.kinds import find_channel_kind
from orchestration.config.credentials import CredentialSource
from orchestration.config.response import ResponseSettings
from orchestration.config.schema import Configuration
from orchestration.security.link_key import MINIMUM_LENGTH

_SUBJECT = "links in messages"
_HERE = ("localhost", "127.0.0.1", "::1")


def check(configuration: Configuration, credentials: CredentialSource) -> Iterator[CheckResult]:
    """One result, if there is anybody who could be sent a link."""
    response = configuration.response
    if not _is_sent_anything(response):
        return
    settings, base = response.message_links, response.dashboard_url
    if not settings.enabled:
        yield ok(_SUBJECT, "switched off (response.messageLinks.enabled)")
    elif not base:
        found = "none: nobody can acknowledge from a mail or a chat"
        yield warning(_SUBJECT, found, "set response.dashboardUrl to the address at which people reach the dashboard")
    elif urlsplit(base).scheme != "https" and urlsplit(base).hostname not in _HERE:
        found = f"they begin with {base}, and anybody on the way can read and use them"
        yield warning(_SUBJECT, found, "serve the dashboard over https, and write that into response.dashboardUrl")
    else:
        yield _key(configuration, credentials)


def _key(configuration: Configuration, credentials: CredentialSource) -> CheckResult:
    name = configuration.response.message_links.key_env
    if name is None and configuration.runtime.database_url_env is not None:
        found = "each machine signs with a key of its own, so a link works only where it was made"
        return warning(_SUBJECT, found, "set response.messageLinks.keyEnv if several machines serve")
    if name is not None and len(credentials.get(name) or "") < MINIMUM_LENGTH:
        found = f"none: {name} has no key of at least {MINIMUM_LENGTH} characters"
        return warning(_SUBJECT, found, f"put {name}=… into .env, for example from: openssl rand -base64 32")
    return ok(_SUBJECT, f"begin with {configuration.response.dashboard_url}")


def _is_sent_anything(response: ResponseSettings) -> bool:
    kinds = (
        find_channel_kind(settings.type)
        for contact in response.contacts
        for place in response.reachable(contact)
        if (settings := response.channel(place.channel)) is not None
    )
    return any(kind is not None and kind.carries_links for kind in kinds)
