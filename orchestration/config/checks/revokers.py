"""Whether revokers could revoke anything. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from orchestration.config.channels.checks import is_http_url
from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.checks.options import check_options
from orchestration.config.document import JsonPath
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem, suggest
from orchestration.config.schema import Configuration
from orchestration.config.vendors.kinds import find_vendor, vendors
from orchestration.config.vendors.settings import RevokerSettings

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check(configuration: Configuration, environment: CheckEnvironment) -> Iterator[Problem]:
    """Every revoker names a vendor that can revoke, and has what its API needs."""
    for name, settings in configuration.revokers.items():
        if settings.enabled:
            yield from _check_revoker(name, settings, ("revokers", name), environment)


def _check_revoker(
    name: str, settings: RevokerSettings, path: JsonPath, environment: CheckEnvironment
) -> Iterator[Problem]:
    vendor = find_vendor(settings.vendor)
    if vendor is None:
        message = f'the revoker "{name}" has an unknown vendor "{settings.vendor}", so it revokes nothing'
        hint = suggest(settings.vendor, [one.name for one in vendors()])
        yield Problem(FindingCode.UNKNOWN_VENDOR, (*path, "vendor"), message, hint=hint)
        return
    if not vendor.revokes:
        message = f"{vendor.title} has no documented call that revokes a credential"
        yield Problem(FindingCode.NO_REVOCATION, (*path, "vendor"), message, hint=f"Revoke at {vendor.page.url}.")
    yield from check_options(vendor.options, settings.options, (*path, "options"), f'the revoker "{name}"')
    yield from _check_address(name, settings, path)
    for key, variable in settings.named_variables.items():
        if variable not in environment.variables:
            message = f'{variable}, which the revoker "{name}" needs, is not set'
            hint = "Put it into .env."
            yield Problem(FindingCode.REVOKER_VARIABLE_UNSET, (*path, "options", key), message, hint=hint)


def _check_address(name: str, settings: RevokerSettings, path: JsonPath) -> Iterator[Problem]:
    url = settings.base_url
    if url is None:
        return
    if not is_http_url(url):
        message = f'the address of the revoker "{name}" cannot be used'
        yield Problem(FindingCode.BAD_REVOKER_URL, (*path, "baseUrl"), message, "an http:// or https:// URL")
    elif urlsplit(url).scheme == "http" and urlsplit(url).hostname not in _LOOPBACK:
        message = f'the revoker "{name}" would send credentials unencrypted'
        yield Problem(FindingCode.PLAIN_HTTP, (*path, "baseUrl"), message, hint="Use https://.")
