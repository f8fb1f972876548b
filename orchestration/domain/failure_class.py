"""What class a failure of an agent belongs to: failures of one class have one kind of cause, and one repair."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class FailureClass(StrEnum):
    """The class of an agent's failure. `limit-reached` is an outcome of the work and no malfunction."""

    CONFIGURATION = "configuration"
    TIME_LIMIT = "time-limit"
    CALL_LIMIT = "call-limit"
    UNUSABLE_ANSWER = "unusable-answer"
    GOING_IN_CIRCLES = "going-in-circles"
    REQUEST_REFUSED = "request-refused"
    PROVIDER = "provider"
    OWN_CODE = "own-code"
    MACHINE = "machine"
    CRASHED = "crashed"
    INTERNAL_ERROR = "internal-error"
    LIMIT_REACHED = "limit-reached"

    @property
    def is_malfunction(self) -> bool:
        return self is not FailureClass.LIMIT_REACHED


# The kinds as agents report them and as the timeline keeps them. Those of the gateway come from agents of other
# frameworks, which report a provider's failure as their own.
_CLASS_OF_KIND: Mapping[str, FailureClass] = MappingProxyType(
    {
        "configuration": FailureClass.CONFIGURATION,
        "time_limit": FailureClass.TIME_LIMIT,
        "too_many_model_calls": FailureClass.CALL_LIMIT,
        "malformed_answer": FailureClass.UNUSABLE_ANSWER,
        "going_in_circles": FailureClass.GOING_IN_CIRCLES,
        "request_refused": FailureClass.REQUEST_REFUSED,
        "own_code_failed": FailureClass.OWN_CODE,
        "machine_fault": FailureClass.MACHINE,
        "crashed": FailureClass.CRASHED,
        "budget_exceeded": FailureClass.LIMIT_REACHED,
        "run_limit": FailureClass.LIMIT_REACHED,
        "no_provider": FailureClass.PROVIDER,
        **dict.fromkeys(
            ("unreachable", "timeout", "rate_limited", "quota", "overloaded", "authentication", "retired"),
            FailureClass.PROVIDER,
        ),
    }
)


UNEXPECTED = "internal_error"
# The kinds of failures by the type of a step's error. Everything else is a bug of ours.
_KIND_OF_ERROR: Mapping[str, str] = MappingProxyType(
    {
        "BudgetExceededError": "budget_exceeded",
        "NoRouteError": "no_provider",
        "StreamInterruptedError": "no_provider",
        "RequestRefusedError": "request_refused",
        "TimeLimitError": "time_limit",
        "OwnCodeError": "own_code_failed",
        "MachineFaultError": "machine_fault",
        "HelperKilledError": "machine_fault",
        "OwnCodeTimeError": "time_limit",
        "RunTimeLimitError": "time_limit",
        "LimitReachedError": "run_limit",
        "NotFoundError": "configuration",
        "FrameworkMissingError": "configuration",
        "UsageError": "configuration",
    }
)


def kind_of_error(error: str) -> str:
    """The kind of failure that an error of this type is."""
    return _KIND_OF_ERROR.get(error, UNEXPECTED)


def failure_class(kind: str) -> FailureClass:
    """The class of a kind of failure; a kind that nobody knows is a bug or a fault of the machine."""
    return _CLASS_OF_KIND.get(kind, FailureClass.INTERNAL_ERROR)


def failure_label(kind: str, error: str = "") -> str:
    """The class of a failure as a label. Unexpected errors of unlike types have unlike causes: their type is in it."""
    known = failure_class(kind)
    return f"{known}:{error}" if known is FailureClass.INTERNAL_ERROR and error else known.value
