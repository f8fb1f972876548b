"""The causes that would explain the findings, the likeliest first. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestration.playbooks import conditions
from orchestration.playbooks.model import Hypothesis
from orchestration.storage.playbooks import RankedHypothesis

__all__ = ["RankedHypothesis", "rank"]


def rank(hypotheses: Sequence[Hypothesis], facts: Mapping[str, Any]) -> tuple[RankedHypothesis, ...]:
    """The hypotheses that fit, by weight; of equal ones the author's first. Sorting is stable, so a replay agrees."""
    fitting = [hypothesis for hypothesis in hypotheses if conditions.holds(hypothesis.when, facts)]
    fitting.sort(key=lambda hypothesis: -hypothesis.weight)
    return tuple(_ranked(hypothesis, facts) for hypothesis in fitting) or (_NONE,)


def _ranked(hypothesis: Hypothesis, facts: Mapping[str, Any]) -> RankedHypothesis:
    asked = dict.fromkeys((*conditions.names(hypothesis.when), *hypothesis.evidence))
    evidence = {name: facts[name] for name in asked if name in facts}
    return RankedHypothesis(hypothesis.id, hypothesis.summary, hypothesis.weight, evidence, hypothesis.points_to)


_NONE = RankedHypothesis("unknown", "none of the known causes explains what was found; a person has to look", 1)
