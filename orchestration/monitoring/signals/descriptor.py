"""What is known of a signal before one is observed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignalDescriptor:
    """A signal: its name, its labels, what its value means and in which unit. `source` is the collector that reports
    it, empty where events alone do. `gauge`: its values are stored as samples, for plots."""

    name: str
    labels: tuple[str, ...]
    meaning: str
    unit: str = ""
    source: str = ""
    gauge: bool = False
