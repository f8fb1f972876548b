"""Signals: what monitoring sees, before anybody has judged it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Signal:
    """One observation: a measured value, or that something happened (then the value is 1).

    `labels` say of what: agent, provider, model, run, host, path, worker, channel, outcome, kind … `evidence` is
    JSON for people: a message, a snapshot, log lines. `drill` marks what a rehearsed fault has caused.
    """

    name: str
    at: datetime
    value: float = 1.0
    labels: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, object] = field(default_factory=dict)
    drill: bool = False
