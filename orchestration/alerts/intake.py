"""Accepting alerts from other systems: authenticate, read, store, and only then acknowledge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from orchestration.alerts.batch_redaction import Redact
from orchestration.alerts.echo import is_echo
from orchestration.alerts.inbound import InboundAlert
from orchestration.alerts.source import AlertSource, InboundRequest, Receipt, RequestAuth
from orchestration.config.alerting import IntakeSettings
from orchestration.storage.alert_inbox import AlertInbox, InboxDelivery


class AlertIntake:
    """Accepts deliveries. Every call may run on a thread of its own, and blocks until the delivery is on the disk.

    `is_own` tells whether an incident is one of this installation. `feed` takes an alert that is only a sign of life,
    and says whether it was one.
    """

    def __init__(
        self,
        inbox: AlertInbox,
        settings: Callable[[], IntakeSettings],
        credential: Callable[[str], str | None],
        redact: Redact,
        is_own: Callable[[str], bool],
        feed: Callable[[InboundAlert, datetime], bool] = lambda _alert, _now: False,
    ) -> None:
        self._inbox = inbox
        self._settings = settings
        self._credential = credential
        self._redact = redact
        self._is_own = is_own
        self._feed = feed

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
        settings = self._settings()
        # Verified over the raw bytes, before they are parsed: what has not proved its origin must not reach the parser.
        self._authentication(source, settings).verify(headers, body, now.timestamp())
        batch = source.read(InboundRequest(headers, body, settings, now))
        alerts = [alert for alert in batch.alerts if not is_echo(alert, self._is_own)]
        news = [alert for alert in alerts if not self._feed(alert, now)]
        if news:
            # Redacted before it is stored: labels and annotations are free text, and people put tokens into them.
            clean = self._redact([alert.to_json() for alert in news])
            self._inbox.add(InboxDelivery(source.name, now, clean))
        return Receipt(len(alerts), batch.truncated, batch.refused, batch.key, len(batch.alerts) - len(alerts))

    def _authentication(self, source: AlertSource, settings: IntakeSettings) -> RequestAuth:
        # Made anew for each request, so that a token that is replaced in `.env` counts at once.
        token, secret = self._secret(settings.token_env), self._secret(settings.secret_env)
        return source.authentication(token, secret, settings.replay_seconds)

    def _secret(self, name: str | None) -> str | None:
        return None if name is None else self._credential(name)
