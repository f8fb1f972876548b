"""Credentials: the process environment, then `.env`. Values are looked up by name and never shown.

A variable of the process environment takes precedence over the same one in `.env`, as it does elsewhere. So a key that
is to be rotated by an edit of `.env` must not be set in the environment as well.
"""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from dotenv.parser import parse_stream

from orchestration.config.findings import ConfigFinding, FindingCode
from orchestration.config.revocations import RevokedValues
from orchestration.config.schema import Configuration
from orchestration.config.secrets import names_a_secret
from orchestration.config.textfile import UnreadableError, read_text
from orchestration.domain.provider_kind import ProviderKind

# Receives the values that must never be shown from now on; the redactor's `remember` is one.
Remember = Callable[[frozenset[str]], None]

# Shorter values are words and numbers far more often than keys; redacting `main` would make logs unreadable.
_RANDOM_LENGTH = 16


class CredentialSource(Protocol):
    """Looks up secrets by the name of an environment variable. Look up anew for each use, so that a rotation counts."""

    def get(self, name: str) -> str | None:
        """The value; None if it is not set."""
        ...


@dataclass(frozen=True, slots=True)
class EnvironmentCredentials:
    """A snapshot of the variables."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    env_file: Mapping[str, str] = field(default_factory=dict, repr=False)
    revoked: RevokedValues = field(default_factory=RevokedValues, repr=False)

    def get(self, name: str) -> str | None:
        """The value of a variable; None if it is not set or empty. A revoked value counts as not set."""
        # A revoked value of the environment gives way to a fresh one in `.env`, although the environment comes first.
        return next((value for value in self.values(name) if not self.revoked.contains(value)), None)

    @property
    def names(self) -> frozenset[str]:
        """The variables that have a value. A revoked one counts here: it is no mistake in the configuration."""
        return frozenset(name for name in {*self.environment, *self.env_file} if any(self.values(name)))

    @property
    def revoked_names(self) -> tuple[str, ...]:
        """The variables of which every value is revoked."""
        return tuple(sorted(name for name in self.names if self.get(name) is None))

    def changed_since(self, before: EnvironmentCredentials) -> list[str]:
        """The names of the variables whose values differ."""
        return sorted(name for name in self.names | before.names if self.get(name) != before.get(name))

    def values(self, name: str) -> list[str]:
        """The values that are set under a name, in order of precedence."""
        return [value for place in (self.environment, self.env_file) if (value := place.get(name))]

    def secrets(self, configuration: Configuration | None = None) -> frozenset[str]:
        """The values that must never be shown: those that the configuration names, and those that look secret by their
        name or form."""
        named = set() if configuration is None else _named_variables(configuration)
        # A shell's PWD is its folder, not a password; redacting it would blacken every path below.
        environment = [(name, value) for name, value in self.environment.items() if name != "PWD"]
        candidates = [*environment, *self.env_file.items()]
        values = {value for name, value in candidates if name in named or names_a_secret(name)}
        # Of `.env` only: the environment of a process is full of random-looking values that are no secrets.
        values |= {value for value in self.env_file.values() if _looks_random(value)}
        values |= {password for value in self.env_file.values() if (password := _password(value))}
        # Clients of Ollama need a key that is never checked, and examples use `ollama`; redacted, that word would
        # vanish from every log line about the provider.
        return frozenset(values - {kind.value for kind in ProviderKind})


def read_env_file(path: Path) -> tuple[dict[str, str], tuple[ConfigFinding, ...]]:
    """The variables of `.env`, and findings about lines that cannot be read. A missing file has none.

    Values are literal, `$` included: with interpolation, a password with a `$` in it would silently lose a part.
    """
    try:
        text = read_text(path) if path.exists() else ""
    except UnreadableError as error:
        return {}, (error.finding,)
    values: dict[str, str] = {}
    findings = []
    # The parser itself: `dotenv_values` only logs a line that it cannot read
    # (https://saurabh-kumar.com/python-dotenv/reference/).
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            hint = "Write NAME=value on one line, and close every quote."
            line = binding.original.line
            findings.append(
                ConfigFinding(FindingCode.BAD_ENV_LINE, str(path), line, 1, "", "this line is ignored", "", hint)
            )
        elif binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    if any(values.values()) and path.stat().st_mode & 0o077:
        findings.append(_readable_by_others(path))
    return values, tuple(findings)


def _readable_by_others(path: Path) -> ConfigFinding:
    hint = f"Run: chmod 600 {shlex.quote(str(path))}"
    message = "other users of this machine can read it"
    return ConfigFinding(FindingCode.READABLE_ENV, str(path), 1, 1, "", message, "only its owner to", hint)


def _named_variables(configuration: Configuration) -> set[str]:
    names = {provider.effective_api_key_env for provider in configuration.runtime.providers.values()}
    names |= {name for channel in configuration.response.channels.values() for name in channel.variables.values()}
    names |= {name for revoker in configuration.revokers.values() for name in revoker.named_variables.values()}
    names |= {each.calendar.url_env for each in configuration.response.rotations if each.calendar is not None}
    response = configuration.response
    names |= {configuration.runtime.database_url_env, response.dead_man_url_env, response.message_links.key_env}
    names |= {configuration.access.second_factor_key_env}
    names |= {configuration.access.oidc.client_secret_env} if configuration.access.oidc else set()
    alerting = configuration.alerting
    names |= {alerting.intake.token_env, alerting.intake.secret_env}
    names |= {heartbeat.token_env for heartbeat in alerting.heartbeats.values()}
    return {name for name in names if name}


def _looks_random(value: str) -> bool:
    """Whether a value is more likely a key than a word, an address or a path."""
    if len(value) < _RANDOM_LENGTH or any(character.isspace() for character in value):
        return False
    if "://" in value or value[0] in "/.~":
        return False
    return any(character.isdigit() for character in value) and any(character.isalpha() for character in value)


def _password(value: str) -> str | None:
    try:
        return urlsplit(value).password
    except ValueError:
        # A value that only looks like a URL, such as one with a stray bracket, has no password to find.
        return None
