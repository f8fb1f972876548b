"""How a refused tool call is judged, and why."""

from __future__ import annotations

from enum import StrEnum


class RefusalAssessment(StrEnum):
    """A slip is told to the model and counted. The other two are evidence of intent, and an incident."""

    SLIP = "slip"
    SUSPICIOUS = "suspicious"
    ATTACK = "attack"


class RefusalReason(StrEnum):
    """What a refused tool call was about."""

    UNKNOWN_TOOL = "unknown-tool"
    COMMAND_NOT_ALLOWED = "command-not-allowed"
    INVALID_PATH = "invalid-path"
    WORKSPACE_BY_ANOTHER_NAME = "workspace-by-another-name"
    SYSTEM_FILES = "system-files"
    GIT_INTERNALS = "git-internals"
    SECRET_FILE_NAMED = "secret-file-named"  # noqa: S105 (a word, not a password)
    LOOPBACK = "loopback"
    OUTSIDE_WORKSPACE = "outside-workspace"
    ESCAPE_REPEATED = "escape-repeated"
    ACCOUNTS_SOUGHT = "accounts-sought"
    SECRET_SOUGHT = "secret-sought"  # noqa: S105 (as above)
    STATE_SOUGHT = "state-sought"
    HOST_REACHED_FOR = "host-reached-for"
    PRIVATE_ADDRESS = "private-address"
    KEYS_SOUGHT = "keys-sought"
    PROCESS_MEMORY_SOUGHT = "process-memory-sought"
    METADATA_SERVICE = "metadata-service"
    EXFILTRATION = "exfiltration"
    SANDBOX_ESCAPE = "sandbox-escape"
    DESTRUCTION = "destruction"
