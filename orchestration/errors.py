"""Errors that a user may see.

Every message says what is wrong and what to do. The console prints it and exits with `exit_code`; no traceback is ever
shown.
"""

from __future__ import annotations


class OrchestratorError(Exception):
    """Something failed; the message says what, and what to do about it."""

    # As click and the shells have it: 1 for a failure, 2 for a wrong request.
    exit_code = 1


class UsageError(OrchestratorError):
    """The request itself is wrong: a bad argument, a missing file, a configuration that cannot be used."""

    exit_code = 2


class NotFoundError(UsageError):
    """There is nothing of that name."""


class ConflictError(OrchestratorError):
    """The operation is not possible in the present state."""
