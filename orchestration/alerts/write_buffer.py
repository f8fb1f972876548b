"""Decides which alerts have to be written: those whose row would differ in a way that matters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from orchestration.alerts.batch_redaction import Redact
from orchestration.alerts.model import Alert
from orchestration.alerts.records import to_row
from orchestration.alerts.stages import NotifyDecision, NotifyReason
from orchestration.storage.alerts import AlertRow

# Every evaluation changes `updated_at` of every firing alert; writing each of them each time would keep the disk busy.
_REFRESH = timedelta(seconds=60)
_REPORTED = frozenset(
    {NotifyReason.NEW, NotifyReason.GREW, NotifyReason.WORSE, NotifyReason.REPEATED, NotifyReason.IN_STORM}
)


class AlertWriteBuffer:
    """Remembers what was written of each alert. An alert that merely continues is written once a minute."""

    def __init__(self, redact: Redact) -> None:
        self._redact = redact
        self._written: dict[str, tuple[Alert, NotifyDecision | None]] = {}

    def restore(self, written: Iterable[tuple[Alert, NotifyDecision | None]]) -> None:
        """Start from what is known to be written."""
        self._written |= {alert.id: (alert, decision) for alert, decision in written}

    def due(
        self, alerts: Iterable[Alert], decisions: Mapping[str, NotifyDecision]
    ) -> list[tuple[Alert, NotifyDecision | None]]:
        """The alerts to write now, each with the decision to write with it."""
        result = []
        for alert in alerts:
            old, stored = self._written.get(alert.id, (None, None))
            decision = _latest(decisions.get(alert.id), stored)
            if old is None or decision != stored or _differs(alert, old):
                # A decision alone is a reason to write: the reason why an alert was not reported is what people look
                # for afterwards.
                result.append((alert, decision))
        return result

    def rows(self, due: Iterable[tuple[Alert, NotifyDecision | None]]) -> list[AlertRow]:
        """Their rows, without any secret in them."""
        pairs = list(due)
        clean = redacted([alert for alert, _ in pairs], self._redact)
        return [to_row(alert, decision) for alert, (_, decision) in zip(clean, pairs, strict=True)]

    def mark_written(self, due: Iterable[tuple[Alert, NotifyDecision | None]]) -> None:
        """Record that these were written."""
        self._written |= {alert.id: (alert, decision) for alert, decision in due}

    def retain(self, alerts: Iterable[Alert]) -> None:
        """Drop what is remembered of all other alerts."""
        ids = {alert.id for alert in alerts}
        self._written = {name: value for name, value in self._written.items() if name in ids}


def redacted(alerts: Sequence[Alert], redact: Redact) -> list[Alert]:
    """The alerts with nothing secret in them."""
    # All at once: to search one long text takes a fraction of the time of thousands of short ones.
    before = [{name: _plain(getattr(alert, name)) for name in _TEXTS} for alert in alerts]
    after = redact(before)
    clean = alerts if after is before else [replace(alert, **texts) for alert, texts in zip(alerts, after, strict=True)]
    return [_with_clean_duties(alert, redact) if alert.duties else alert for alert in clean]


_TEXTS = ("labels", "details", "subject", "title", "summary", "evidence")


def _with_clean_duties(alert: Alert, redact: Redact) -> Alert:
    clean = (replace(duty, subject=redact(duty.subject), summary=redact(duty.summary)) for duty in alert.duties)
    return replace(alert, duties=tuple(clean))


# The last two decide how the alert goes on after a restart.
_WRITTEN_AT_ONCE = ("status", "facts", "flapping", "title", "flips", "duties", "grouped_at", "ahead")


def _latest(new: NotifyDecision | None, stored: NotifyDecision | None) -> NotifyDecision | None:
    """The decision to store. "Nothing new" replaces neither the reason for the last report nor the resolution."""
    if new is None or stored is None:
        return new or stored
    as_before = new.reason is NotifyReason.UNCHANGED and stored.reason in _REPORTED
    ended = new.reason is NotifyReason.NEVER_REPORTED and stored.reason is NotifyReason.RESOLVED
    return stored if as_before or ended else new


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _differs(new: Alert, old: Alert) -> bool:
    # Not the value or the evidence, which change with every sample; a reader of the stored row needs them once a
    # minute.
    if new is old:
        return False
    same = all(getattr(new, name) == getattr(old, name) for name in _WRITTEN_AT_ONCE)
    same = same and (new.clear_since is None) == (old.clear_since is None)
    return not same or new.updated_at - old.updated_at >= _REFRESH
