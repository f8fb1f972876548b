"""Findings about a configuration, and the one table of their codes.

Codes are stable: people search for them, and scripts compare them. A code that is no longer used is never reused for
something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum, unique
from typing import Any, Self

from orchestration.errors import UsageError


class FindingLevel(StrEnum):
    """A configuration with an error is not used; one with warnings is."""

    ERROR = "error"
    WARNING = "warning"


@unique
class FindingCode(StrEnum):
    """Every code and its meaning. The reference page is generated from this table."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        member = str.__new__(cls, code)
        # Without this the value would be the pair, and a code in a stored finding would not be found again
        # (https://docs.python.org/3/howto/enum.html#when-to-use-new-vs-init).
        member._value_ = code
        member.meaning = meaning
        return member

    UNREADABLE = "E001", "The file is missing, is not a regular file, or cannot be read."
    TOO_LARGE = "E002", "The file is larger than 1 MiB."
    NOT_UTF8 = "E003", "The file is not UTF-8 text."
    SYNTAX = "E004", "The file is not JSON."
    DUPLICATE_KEY = "E005", "An object has the same key twice, so one of the values would be lost."
    WRONG_VALUE = "E006", "A value has the wrong type or is out of range."
    MISSING_KEY = "E007", "A required key is missing."
    LITERAL_SECRET = "E008", "The file contains a secret. Secrets belong in `.env`."
    UNKNOWN_PROVIDER = "E009", "A provider is referenced that the file does not define."
    PROVIDER_OFF = "E010", "A provider that would be used is disabled."
    PROVIDER_INCOMPLETE = "E011", "A provider that would be used has no address or no model."
    BAD_ADDRESS = "E012", "A provider's address is not an `http://` or `https://` URL."
    CREDENTIALS_MISSING = "E013", "The credentials of a provider that would be used are not set."
    REHEARSAL_FALLBACK = "E014", "The rehearsal provider is a fallback of a real one. It never replaces one silently."
    DUPLICATE_AGENT = "E015", "Two agents have the same id."
    UNKNOWN_AGENT = "E016", "An agent is referenced that the file does not define."
    WORKFLOW_CYCLE = "E017", "The workflow's edges form a cycle, so none of its agents could start."
    UNKNOWN_ARTIFACT = "E018", "An edge passes an artifact that its source does not list in `outputs`."
    UNMET_REQUIREMENT = "E019", "An agent requires an artifact that no other agent produces."
    UNKNOWN_TOOL = "E020", "An agent lists a tool that does not exist."
    BAD_CRON = "E021", "A cron expression is invalid."
    BAD_TIME_ZONE = "E022", "A time zone does not exist."
    DUPLICATE_SCHEDULE = "E023", "Two schedules have the same name."
    BAD_DIRECTORY = "E024", "A directory is outside the project, is the project itself, or is used for two purposes."
    UNWRITABLE_DIRECTORY = "E025", "A directory is not writable."
    NOT_AN_OBJECT = "E026", "The file is JSON, but not an object."
    PROVIDER_TYPE_MISSING = "E027", "No installed package has the type of a provider that would be used."
    RESERVED_TOOL = "E028", "A tool has the name of one that ships."
    API_MISSING = "E029", "A provider's type has no such `api`, so calls to it fail."
    RULE_INCOMPLETE = "E030", "An alert rule neither changes a built-in rule nor is complete in itself."
    BAD_MATCHER = "E031", "A label matcher is invalid."
    BAD_TEMPLATE = "E032", "A text template of an alert rule is invalid."
    HEARTBEAT_INCOMPLETE = "E033", "A heartbeat has neither a period nor a cron expression, or both."
    BAD_RECURRENCE = "E034", "A maintenance window has no usable rule for when it comes again, or has two."
    DUPLICATE_CONTACT = "E040", "Two contacts or rotations have the same id."
    UNKNOWN_CHANNEL = "E041", "A contact lists a channel that the file does not define."
    UNKNOWN_CONTACT = "E042", "An audience or a rotation names something that is not a contact, a rotation or a level."
    CHANNEL_INCOMPLETE = "E043", "A channel that a contact uses lacks a setting that its type needs."
    BAD_EMAIL_ADDRESS = "E044", "An e-mail address, or a contact's address on a channel, is missing or invalid."
    BAD_CHANNEL_URL = "E045", "A channel's address is not an `http://` or `https://` URL."
    UNREACHABLE_CONTACT = "E046", "A contact has no working channel: a page would reach nobody."
    EMPTY_AUDIENCE = "E048", "There are contacts, but nobody would be notified of a P0 or P1 incident."
    RESERVED_NAME = "E049", "A contact, a rotation or a channel has a reserved name."
    BAD_SHIFT = "E050", "An on-call override ends before it starts, or has no time zone."
    BAD_DASHBOARD_URL = "E051", "The address of the dashboard is not an `http://` or `https://` URL."
    BAD_REVOKER_URL = "E052", "A revoker's address is not an `http://` or `https://` URL."
    DUPLICATE_WINDOW = "E053", "Two maintenance windows have the same name."
    BAD_CALENDAR = "E054", "The calendar of a rotation has no address, several, or one that is not a URL."
    UNKNOWN_PATH = "E055", "A route leads to an escalation path that does not exist."
    BAD_ISSUER = "E056", "The address of the identity provider is not an `https://` URL."
    UNKNOWN_JOB = "E060", "A maintenance job does not exist."

    UNKNOWN_KEY = "W001", "A key is unknown. It has no effect."
    CREDENTIALS_UNSET = "W002", "The credentials of a provider that is not used are not set."
    NO_FALLBACK = "W003", "Fewer than two providers of the fallback chain can be used: when one fails, work waits."
    RETIRED_PROVIDER = "W004", "GitHub Models was retired on 2026-07-30 and answers 410."
    PAUSED = "W005", "A provider's concurrency is 0: calls to it wait."
    UNUSED_INCOMPLETE = "W006", "A provider that is not used has no address or no model."
    PLAIN_HTTP = "W007", "Credentials would be sent to another machine over plain HTTP."
    REPEATED_FALLBACK = "W008", "A provider is in the fallback chain twice."
    BAD_ENV_LINE = "W009", "A line of `.env` is invalid and is ignored."
    REVOKED_VALUE = "W010", "A variable has a value that was exposed and revoked. It is refused."
    UNKNOWN_PROVIDER_TYPE = "W011", "No installed package has a provider's type, so calls to it fail."
    READABLE_ENV = "W012", "Other users of the machine can read `.env`."
    INTAKE_CLOSED = (
        "W020",
        "The variable with the alert intake's secret is not set, so it refuses every request.",
    )
    ALLOWED_ACTIONS_UNUSED = (
        "W021",
        "Actions are allowed for alerts from outside, but no such alert is mapped to a scenario of this system.",
    )
    UNKNOWN_ALLOWED_ACTION = "W022", "An action that is allowed for alerts from outside is not one of the shipped ones."
    HEARTBEAT_CLOSED = "W023", "A heartbeat has no token, so it refuses every request, and will be late."
    CHANNEL_VARIABLE_UNSET = "W030", "A variable that a channel needs is not set: the channel does not work."
    EMPTY_LEVEL = "W031", "There are contacts, but none at a level of the escalation: the level is skipped."
    OVERLAPPING_SHIFTS = "W032", "Two on-call overrides overlap; the later one in the file counts."
    REPEATED_CHANNEL = "W033", "A contact lists a channel twice; only the first counts."
    CHANNEL_OFF = "W034", "A contact lists a channel that is disabled."
    PLAIN_PASSWORD = "W035", "The password of a mail server would be sent to another machine unencrypted."
    UNKNOWN_CHANNEL_TYPE = (
        "W036",
        "No installed package provides a channel's type, so nobody is reached on it.",
    )
    UNREACHABLE_PATH = (
        "W037",
        "No route leads to an escalation path, or a route can never match: an earlier one matches all that it does.",
    )
    EMPTY_PATH = "W038", "An escalation path has no levels: after the first page nobody else is paged."
    UNKNOWN_VENDOR = "W040", "No installed package knows a revoker's vendor, so it revokes nothing."
    NO_REVOCATION = "W041", "The vendor of a revoker has no documented call that revokes; a person has to do it."
    CALENDAR_VARIABLE_UNSET = "W043", "The variable with the address of a rotation's calendar is not set."
    REVOKER_VARIABLE_UNSET = "W042", "A variable that a revoker needs is not set: it cannot revoke."
    SECOND_FACTOR_KEY_UNSET = "W050", "The variable with the key that seals second factors is not set."
    SECOND_FACTOR_KEY_LOCAL = (
        "W051",
        "Several machines may share the database, and each seals second factors with a key of its own.",
    )
    OIDC_SECRET_UNSET = "W052", "The variable with the secret for the identity provider is not set."
    NO_OIDC_ROLE = "W053", "No claim of the identity provider is mapped to a role: nobody can sign in by it."

    @property
    def severity(self) -> FindingLevel:
        return FindingLevel.ERROR if self.value.startswith("E") else FindingLevel.WARNING


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """One finding and its location. `path` is the JSON path, empty for the whole file."""

    code: FindingCode
    file: str
    line: int
    column: int
    path: str
    message: str
    expected: str = ""
    hint: str = ""

    @property
    def severity(self) -> FindingLevel:
        return self.code.severity

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.code.value} {self.message}"
        text += f"; expected {self.expected}" if self.expected else ""
        return f"{text}. {self.hint}" if self.hint else text

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON values, for `--json`, events and the web."""
        return {**asdict(self), "code": self.code.value, "severity": self.severity.value}


class ConfigurationError(UsageError):
    """The configuration cannot be used; `findings` holds everything that is wrong with it."""

    def __init__(self, file: str, findings: Sequence[ConfigFinding]) -> None:
        errors = [finding for finding in findings if finding.severity is FindingLevel.ERROR]
        lines = "\n".join(f"  {error}" for error in errors)
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        super().__init__(f"{file} cannot be used; {count}:\n{lines}")
        self.findings = tuple(findings)
