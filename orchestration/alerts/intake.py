"""Accepting alerts from other systems: authenticate, read, store, and only then acknowledge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from orchestration.alerts.batch_redaction import Redact
from orchestration.alerts.echo import is_echo, named_incidents
from orchestration.alerts.inbound import InboundAlert
from orchestration.alerts.ports import SignsOfLife
from orchestration.alerts.source import AlertSource, InboundBatch, InboundRequest, Receipt, RequestAuth
from orchestration.config.alerting import IntakeSettings
from orchestration.storage.alert_inbox import LEAST_URGENT, AlertInbox, InboxDelivery

_ALERTS_PER_DELIVERY = 500


class AlertIntake:
    """Accepts deliveries. `accept` does it all and blocks until the delivery is on the disk; the parts are for callers
    that put several deliveries into one transaction.

    `own_incidents` returns those of some incidents that are of this installation; `signs` takes alerts that are only
    signs of life.
    """

    def __init__(
        self,
        inbox: AlertInbox,
        settings: Callable[[], IntakeSettings],
        credential: Callable[[str], str | None],
        redact: Redact,
        own_incidents: Callable[[Collection[str]], Collection[str]],
        signs: SignsOfLife | None = None,
    ) -> None:
        self.inbox = inbox
        self._settings = settings
        self._credential = credential
        self._redact = redact
        self._own_incidents = own_incidents
        self._signs = signs

    def max_bytes(self, source: AlertSource) -> int:
        """The greatest length of a body."""
        configured = self._settings().max_bytes
        return configured if source.max_bytes is None else min(source.max_bytes, configured)

    def precheck(self, source: AlertSource, headers: Mapping[str, str], now: datetime) -> None:
        """Refuse an unauthenticated request before its body is read. Raises PayloadRefusedError."""
        self._authentication(source, self._settings()).precheck(headers, now.timestamp())

    def accept(self, source: AlertSource, headers: Mapping[str, str], body: bytes, now: datetime) -> Receipt:
        """Authenticate, read and store one delivery.

        Raises PayloadRefusedError, or what the database raises; then nothing of the delivery is stored.
        """
        receipt, deliveries = self.examine(source, self.read(source, headers, body, now), now)
        if deliveries:
            self.inbox.add(*deliveries)
        return receipt

    def read(self, source: AlertSource, headers: Mapping[str, str], body: bytes, now: datetime) -> InboundBatch:
        """Authenticate and read one delivery. Raises PayloadRefusedError."""
        settings = self._settings()
        # Verified over the raw bytes, before they are parsed: what has not proved its origin must not reach the parser.
        self._authentication(source, settings).verify(headers, body, now.timestamp())
        return source.read(InboundRequest(headers, body, settings, now))

    def may_block(self, batch: InboundBatch) -> bool:
        """Whether `examine` may read or write the database: alerts are about incidents, of whatever installation, or
        may be signs of life."""
        return bool(named_incidents(batch.alerts)) or (self._signs is not None and self._signs.expected)

    def examine(
        self, source: AlertSource, batch: InboundBatch, now: datetime
    ) -> tuple[Receipt, Sequence[InboxDelivery]]:
        """What is to be answered, and what is to be stored, in one transaction: all but what is about our own
        incidents, and what is a sign of life. Raises what the database raises, if it `may_block`."""
        named = named_incidents(batch.alerts)
        own = self._own_incidents(named) if named else ()
        alerts = [alert for alert in batch.alerts if not is_echo(alert, own)]
        news = [alert for alert in alerts if self._signs is None or not self._signs.feed(alert)]
        receipt = Receipt(len(alerts), batch.truncated, batch.refused, batch.key, len(batch.alerts) - len(alerts))
        # In parts: what is read from the inbox in one piece has to fit into memory, and is evaluated in one piece.
        parts = [news[start : start + _ALERTS_PER_DELIVERY] for start in range(0, len(news), _ALERTS_PER_DELIVERY)]
        return receipt, [self._delivery(source, part, now) for part in parts]

    def _delivery(self, source: AlertSource, alerts: Sequence[InboundAlert], now: datetime) -> InboxDelivery:
        # Redacted before it is stored: labels and annotations are free text, and people put tokens into them.
        clean = self._redact([alert.to_json() for alert in alerts])
        urgency = min((alert.severity.number for alert in alerts if alert.firing), default=LEAST_URGENT)
        return InboxDelivery(source.name, now, clean, urgency=urgency)

    def _authentication(self, source: AlertSource, settings: IntakeSettings) -> RequestAuth:
        # Made anew for each request, so that a token that is replaced in `.env` counts at once.
        token, secret = self._secret(settings.token_env), self._secret(settings.secret_env)
        return source.authentication(token, secret, settings.replay_seconds)

    def _secret(self, name: str | None) -> str | None:
        return None if name is None else self._credential(name)
