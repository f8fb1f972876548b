"""What the system has to know about one kind of sender of alerts. Pure."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from orchestration.alerts.inbound import InboundAlert
from orchestration.alerts.payload import PayloadRefusedError
from orchestration.alerts.webhook_auth import WebhookAuth
from orchestration.config.alerting import IntakeSettings

INTAKE_PATH = "/api/v1/intake/"
# Enough to find the fault; ten thousand alerts may have the same one.
_MOST_REASONS = 20


@dataclass(frozen=True, slots=True)
class InboundRequest:
    """One delivery that has proved where it comes from. The names of `headers` are in lower case."""

    headers: Mapping[str, str]
    body: bytes
    settings: IntakeSettings
    received_at: datetime

    def payload(self) -> object:
        """The JSON of the body. Raises PayloadRefusedError."""
        return read_json(self.body)


@dataclass(frozen=True, slots=True)
class InboundBatch:
    """The alerts of one delivery, how many more the sender left out of it, and why others cannot be used.

    `key` is what the sender calls the delivery by, where its protocol has it returned.
    """

    alerts: tuple[InboundAlert, ...] = ()
    truncated: int = 0
    refused: tuple[str, ...] = ()
    key: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was stored: how many alerts, how many the sender had left out, why others were refused, and how many were
    echoes of our own."""

    accepted: int
    truncated: int = 0
    refused: tuple[str, ...] = ()
    key: str = ""
    echoes: int = 0


class RequestAuth(Protocol):
    """Decides whether a request may hand in alerts. `now` is in Unix seconds; both raise PayloadRefusedError."""

    def precheck(self, headers: Mapping[str, str], now: float) -> None:
        """Refuse a request that cannot be authentic before its body is read, so that nobody can fill our memory."""
        ...

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Refuse a request that is not authentic."""
        ...


def accepted(receipt: Receipt) -> dict[str, Any]:
    """The usual body of a successful answer."""
    refused = {"refused": list(receipt.refused[:_MOST_REASONS])} if receipt.refused else {}
    return {"accepted": receipt.accepted + receipt.echoes, **refused}


def refused(reason: str) -> dict[str, Any]:
    """The usual body of a refusal."""
    return {"error": reason}


@dataclass(frozen=True, slots=True)
class AlertSource:
    """One kind of sender: its path, its authentication, the reader of its payload, and its documentation.

    `name` is stored with each alert and tells the alerts of one source from those of another, so it must never change.
    `authentication` gets the token, the secret and the seconds for which a signature is good. `answer` and
    `success_status` are for senders that insist on an answer of their own, `refusal` is for those that read the body of
    a refusal. `at_root` is a path of the sender's own choice, beside `path`, for senders that take the address of a
    server only; `max_bytes` is a limit of the sender's protocol.
    """

    name: str
    summary: str
    read: Callable[[InboundRequest], InboundBatch]
    path: str = ""
    documentation: str = ""
    authentication: Callable[[str | None, str | None, float], RequestAuth] = WebhookAuth
    success_status: int = 200
    answer: Callable[[Receipt], Mapping[str, Any]] = accepted
    refusal: Callable[[str], Mapping[str, Any]] = refused
    at_root: str = ""
    max_bytes: int | None = None

    @property
    def route(self) -> str:
        """The whole path of the endpoint."""
        return INTAKE_PATH + (self.path or self.name)

    @property
    def routes(self) -> tuple[str, ...]:
        """Every path at which it is received."""
        return (self.route, self.at_root) if self.at_root else (self.route,)


def read_json(body: bytes) -> object:
    """The JSON of a body. Raises PayloadRefusedError."""
    try:
        return _DECODER.decode(body.removeprefix(codecs.BOM_UTF8).decode())
    # RecursionError: a few hundred kilobytes of `[` exhaust the parser's stack.
    except (ValueError, RecursionError) as error:
        raise PayloadRefusedError(f"expected JSON in UTF-8, got something else: {error}") from None


def _refuse_constant(text: str) -> float:
    # Python reads NaN and Infinity, which JSON does not have (RFC 8259, section 6) and PostgreSQL does not store.
    raise ValueError(f"{text} is no number of JSON")


# Made once: `json.loads` makes one for each body.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
