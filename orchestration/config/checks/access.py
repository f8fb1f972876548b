"""Whether people can sign in as the file says. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem
from orchestration.config.schema import Configuration


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
