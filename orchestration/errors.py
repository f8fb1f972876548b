"""Errors that a user may see.

Every message says what was expected, what came, and what to do. The console turns each of them into one clear
message and an exit code; none of them ever shows a traceback.
"""

from __future__ import annotations


class OrchestratorError(Exception):
    """Something failed; the message says what, and what to do about it."""

    exit_code = 1


class UsageError(OrchestratorError):
    """The request itself is wrong: a bad argument, a missing file, a configuration that cannot be used."""

    exit_code = 2


class NotFoundError(UsageError):
    """A thing was asked for by name that does not exist."""


class ConflictError(OrchestratorError):
    """The thing exists, but is in a state in which this cannot be done."""
