"""What can be said about a configuration: findings, and the one table of their codes.

Codes are stable: people search for them, and scripts compare them. A code that is no longer used is never given to
something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from orchestration.errors import UsageError


class FindingLevel(StrEnum):
    """An error keeps a configuration out of use; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class FindingCode(StrEnum):
    """Every code, with what it means. The reference page is written from this table."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    UNREADABLE = "E001", "The file is missing, is no file, or may not be read."
    TOO_LARGE = "E002", "The file is larger than 1 MiB."
    NOT_UTF8 = "E003", "The file is not text in UTF-8."
    SYNTAX = "E004", "The file is not JSON."
    DUPLICATE_KEY = "E005", "A key stands twice in one object, so one of its values would be lost."
    WRONG_VALUE = "E006", "A value has the wrong type or is outside its limits."
    MISSING_KEY = "E007", "A key that must be there is missing."
    LITERAL_SECRET = "E008", "A secret stands in the file. Secrets belong in `.env`."
    UNKNOWN_PROVIDER = "E009", "A provider is named that the file does not describe."
    PROVIDER_OFF = "E010", "A provider that would be used is switched off."
    PROVIDER_INCOMPLETE = "E011", "A provider that would be used has no address or no model."
    BAD_ADDRESS = "E012", "A provider's address is no `http://` or `https://` URL."
    CREDENTIALS_MISSING = "E013", "The credentials of a provider that would be used are not set."
    REHEARSAL_FALLBACK = "E014", "The rehearsal model is a fallback of a real provider. It never stands in silently."
    DUPLICATE_AGENT = "E015", "Two agents have the same id."
    UNKNOWN_AGENT = "E016", "An agent is named that the file does not describe."
    WORKFLOW_CYCLE = "E017", "The workflow's edges form a circle, so none of its agents could start."
    UNKNOWN_ARTIFACT = "E018", "An edge hands on an artifact that its source does not list in `outputs`."
    UNMET_REQUIREMENT = "E019", "An agent requires an artifact that no agent before it delivers."
    UNKNOWN_TOOL = "E020", "An agent lists a tool that does not exist."
    BAD_CRON = "E021", "A schedule's cron expression cannot be read."
    BAD_TIME_ZONE = "E022", "A schedule's time zone does not exist."
    DUPLICATE_SCHEDULE = "E023", "Two schedules have the same name."
    BAD_DIRECTORY = "E024", "A directory lies outside the project, is the project itself, or is used twice."
    UNWRITABLE_DIRECTORY = "E025", "A directory cannot be written to."
    NOT_AN_OBJECT = "E026", "The file is JSON, but not one object."
    PROVIDER_TYPE_MISSING = "E027", "No installed package has the type of a provider that would be used."
    RULE_INCOMPLETE = "E030", "An alert rule is neither a change to one of ours nor whole in itself."
    BAD_MATCHER = "E031", "A matcher of labels cannot be read."
    BAD_TEMPLATE = "E032", "A text of an alert rule cannot be filled in."
    DUPLICATE_CONTACT = "E040", "Two contacts or rotations have the same id."
    UNKNOWN_CHANNEL = "E041", "A contact lists a channel that the file does not describe."
    UNKNOWN_CONTACT = "E042", "Somebody is to be told who is no contact, rotation or level."
    CHANNEL_INCOMPLETE = "E043", "A channel that a contact uses lacks something that its type needs."
    BAD_EMAIL_ADDRESS = "E044", "The address of a mail, or of a contact on a channel, is missing or has the wrong form."
    BAD_CHANNEL_URL = "E045", "A channel's address is no `http://` or `https://` URL."
    UNREACHABLE_CONTACT = "E046", "A contact has no channel that works: a page would reach nobody."
    EMPTY_AUDIENCE = "E048", "There are contacts, but nobody would be told of an incident of P0 or P1."
    RESERVED_NAME = "E049", "A contact, a rotation or a channel has a name with a meaning of its own."
    BAD_SHIFT = "E050", "A shift that replaces whoever is on call ends before it begins, or has no time zone."
    BAD_DASHBOARD_URL = "E051", "The address of the dashboard is no `http://` or `https://` URL."
    UNKNOWN_JOB = "E060", "A job of maintenance is named that does not exist."

    UNKNOWN_KEY = "W001", "A key is not known. It is kept and has no effect."
    CREDENTIALS_UNSET = "W002", "The credentials of a provider that is not in use are not set."
    NO_FALLBACK = "W003", "Only one provider of the fallback chain can be used: when it fails, work waits."
    RETIRED_PROVIDER = "W004", "GitHub Models was retired on 2026-07-30 and answers 410."
    PAUSED = "W005", "A provider's concurrency is 0: calls to it wait."
    UNUSED_INCOMPLETE = "W006", "A provider that is not in use has no address or no model."
    PLAIN_HTTP = "W007", "Credentials would travel over plain HTTP to another machine."
    REPEATED_FALLBACK = "W008", "A provider stands twice in the fallback chain."
    BAD_ENV_LINE = "W009", "A line of `.env` cannot be read and is left out."
    RETIRED_VALUE = "W010", "A variable has a value that was exposed and retired. It is refused."
    UNKNOWN_PROVIDER_TYPE = "W011", "No installed package has a provider's type, so calls to it fail."
    INTAKE_CLOSED = "W020", "The variable that opens the intake of alerts is not set, so it refuses everyone."
    CHANNEL_VARIABLE_UNSET = "W030", "A variable that a contact's channel reads is not set: the channel does not work."
    EMPTY_LEVEL = "W031", "There are contacts, but none at a level of the escalation: it passes the level over."
    OVERLAPPING_SHIFTS = "W032", "Two shifts that replace whoever is on call overlap; the later one in the file counts."
    REPEATED_CHANNEL = "W033", "A contact lists a channel twice; only the first counts."
    CHANNEL_OFF = "W034", "A contact lists a channel that is switched off."
    PLAIN_PASSWORD = "W035", "The password of a mail server would travel unencrypted to another machine."
    UNKNOWN_CHANNEL_TYPE = "W036", "No installed package has a channel's type, so nobody is reached on that channel."

    @property
    def severity(self) -> FindingLevel:
        return FindingLevel.ERROR if self.value.startswith("E") else FindingLevel.WARNING


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """One thing to mend, and where. `path` is the JSON path, empty where the whole file is meant."""

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
        super().__init__(f"{file} cannot be used; {len(errors)} to mend:\n{lines}")
        self.findings = tuple(findings)
