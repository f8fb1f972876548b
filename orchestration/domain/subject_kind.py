"""What an incident can be about, and what a check can therefore show to be repaired."""

from __future__ import annotations

from enum import StrEnum


class SubjectKind(StrEnum):
    """The kinds of things that are reported. `own` are those of users' own signals and rules."""

    RUNS = "runs"
    OUTCOMES = "outcomes"
    PROVIDERS = "providers"
    MACHINE = "machine"
    EVENT_LOOP = "event-loop"
    DATABASE = "database"
    WORKERS = "workers"
    BACKUPS = "backups"
    CHANNELS = "channels"
    TOOL_SERVERS = "tool-servers"
    LOOPS = "loops"
    SCHEDULES = "schedules"
    LOG = "log"
    SECRETS = "secrets"
    SIGN_INS = "sign-ins"
    TOOL_USE = "tool-use"
    PACKAGES = "packages"
    EXTERNAL = "external"
    OWN = "own"
