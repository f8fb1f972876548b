"""What a call fails with when its request or its answer cannot be put into the other API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestration.providers.endpoint import CallFailed
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.translation import UntranslatableError

_MALFORMED = (AttributeError, KeyError, IndexError, TypeError, ValueError)


@contextmanager
def translating_request(vendor: str) -> Iterator[None]:
    """Raises CallFailed for a request that the vendor's API has no words for, or that is none."""
    try:
        yield
    except UntranslatableError as error:
        raise CallFailed(Failure(FailureKind.BAD_REQUEST, str(error), 400, elsewhere=True)) from None
    except _MALFORMED as error:
        message = f"the request is not one that {vendor} could be sent: {type(error).__name__}: {error}"
        raise CallFailed(Failure(FailureKind.BAD_REQUEST, message)) from error


@contextmanager
def translating_answer(expected: str) -> Iterator[None]:
    """Raises CallFailed for an answer that is not what was `expected`."""
    try:
        yield
    except _MALFORMED as error:
        raise CallFailed(Failure(FailureKind.MALFORMED, expected, 200)) from error
