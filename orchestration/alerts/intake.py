"""The door for alerts from outside: read, write to the disk, and only then say that they arrived."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from orchestration import logs
from orchestration.alerts.alertmanager import read_alertmanager
from orchestration.alerts.batch_redaction import Redact
from orchestration.alerts.generic import read_generic
from orchestration.alerts.inbound import InboundAlert
from orchestration.alerts.payload import PayloadRefusedError
from orchestration.alerts.webhook_auth import WebhookAuth
from orchestration.config.alerting import IntakeSettings
from orchestration.storage.alert_inbox import AlertInbox, InboxDelivery

_Reader = Callable[[object, IntakeSettings, datetime], tuple[list[InboundAlert], int]]


class AlertSource(StrEnum):
    """Whose language a body speaks; it is also the source of its alerts."""

    ALERTMANAGER = "alertmanager"
    WEBHOOK = "webhook"


_READERS: Mapping[AlertSource, _Reader] = MappingProxyType(
    {AlertSource.ALERTMANAGER: read_alertmanager, AlertSource.WEBHOOK: read_generic}
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was written: how many alerts, and how many the sender had cut off before."""

    accepted: int
    cut_off: int = 0


class AlertIntake:
    """Accepts deliveries. Every call may run on a thread of its own, and blocks until the delivery is on the disk."""

    def __init__(
        self,
        inbox: AlertInbox,
        settings: Callable[[], IntakeSettings],
        credential: Callable[[str], str | None],
        redact: Redact,
    ) -> None:
        self._inbox = inbox
        self._settings = settings
        self._credential = credential
        self._redact = redact
        self._log = logs.get_logger("intake")

    @property
    def max_bytes(self) -> int:
        """How long a body may be."""
        return self._settings().max_bytes

    def glance(self, headers: Mapping[str, str], now: datetime) -> None:
        """Refuse a stranger before the body is read. Raises RefusedError."""
        self._lock(self._settings()).glance(headers, now.timestamp())

    def accept(self, sender: AlertSource, headers: Mapping[str, str], body: bytes, now: datetime) -> Receipt:
        """Check, read and write one delivery. Raises RefusedError, or what the database raises: nothing is written."""
        settings = self._settings()
        self._lock(settings).check(headers, body, now.timestamp())
        notices, cut_off = _READERS[sender](parse(body), settings, now)
        if notices:
            clean = self._redact([notice.to_json() for notice in notices])
            self._inbox.put(InboxDelivery(sender.value, now, clean))
        if cut_off:
            self._log.warning("intake.cut_off", source=sender.value, missing=cut_off, accepted=len(notices))
        return Receipt(len(notices), cut_off)

    def _lock(self, settings: IntakeSettings) -> WebhookAuth:
        token, secret = self._secret(settings.token_env), self._secret(settings.secret_env)
        return WebhookAuth(token, secret, settings.replay_seconds)

    def _secret(self, name: str | None) -> str | None:
        return None if name is None else self._credential(name)


def parse(body: bytes) -> object:
    """The JSON of a body. Raises RefusedError."""
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise PayloadRefusedError(f"expected JSON in UTF-8, got something else: {error}") from None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
