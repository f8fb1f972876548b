"""Whether people can sign in as the file says. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from orchestration.config.channels.checks import is_http_url
from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem
from orchestration.config.schema import Configuration

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check_oidc(configuration: Configuration, environment: CheckEnvironment) -> Iterator[Problem]:
    """The identity provider can be reached safely, and lets somebody in."""
    oidc, path = configuration.access.oidc, ("access", "oidc")
    if oidc is None:
        return
    if not is_http_url(oidc.issuer) or not _is_protected(oidc.issuer):
        message = "the address of the identity provider cannot be used"
        yield Problem(FindingCode.BAD_ISSUER, (*path, "issuer"), message, "an https:// URL")
    if not oidc.roles:
        message = "no value of a claim is mapped to a role, so nobody can sign in by the identity provider"
        hint = f'Map values of the claim "{oidc.role_claim}", for example {{"admins": "admin"}}.'
        yield Problem(FindingCode.NO_OIDC_ROLE, (*path, "roles"), message, hint=hint)
    name = oidc.client_secret_env
    if name is not None and name not in environment.variables:
        message = f"{name}, the secret for the identity provider, is not set, so nobody can sign in by it"
        yield Problem(
            FindingCode.OIDC_SECRET_UNSET, (*path, "clientSecretEnv"), message, hint=f"Put {name}=… into .env."
        )


def _is_protected(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def check_second_factor(configuration: Configuration, environment: CheckEnvironment) -> Iterator[Problem]:
    """Second factors can be checked on every machine that serves."""
    access, shared = configuration.access, configuration.runtime.database_url_env
    name, path = access.second_factor_key_env, ("access", "secondFactorKeyEnv")
    if name is not None and name not in environment.variables:
        message = f"{name}, the key that seals second factors, is not set, so nobody can use one"
        hint = f"Put {name}=… into .env, for example from: openssl rand -base64 32"
        yield Problem(FindingCode.SECOND_FACTOR_KEY_UNSET, path, message, hint=hint)
    elif name is None and access.require_second_factor and shared is not None and shared in environment.variables:
        message = "each machine seals second factors with a key of its own, so they work only where they were set up"
        hint = "Set access.secondFactorKeyEnv if several machines serve."
        yield Problem(FindingCode.SECOND_FACTOR_KEY_LOCAL, path, message, hint=hint)
