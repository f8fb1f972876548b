"""Signals: what monitoring observes, before any rule has evaluated it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Signal:
    """One observation: a measured value, or that something happened (then the value is 1).

    `labels` say what it is of: agent, provider, model, run, host, path, worker, channel, outcome, kind … `evidence` is
    JSON for people: a message, a snapshot, log lines. `drill` marks the effects of a drill.
    """

    name: str
    at: datetime
    value: float = 1.0
    labels: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, object] = field(default_factory=dict)
    drill: bool = False
