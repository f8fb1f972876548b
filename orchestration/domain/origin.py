"""The labels by which alerts that this product has caused in other systems are recognised when they come back."""

from __future__ import annotations

ORIGIN_LABEL = "origin"
ORIGIN = "agent-orchestration"
# On rules for Prometheus that fire on what our own monitoring reports.
DOUBLES_LABEL = "doubles"
