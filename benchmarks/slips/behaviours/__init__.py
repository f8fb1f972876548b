"""What imperfect models and servers do, each with the place where it was reported.

Every behaviour is played by a model that is otherwise flawless. `wanted` says what a careful engineer would make of it:
`RIGHT` where the meaning can be told or asked for, `HONEST` where no good end exists and the run has to say so.
"""

from __future__ import annotations

from benchmarks.slips.behaviours.answers import TEXTS, nearly_json, plans, reviews, texts
from benchmarks.slips.behaviours.base import Behaviour, Wanted
from benchmarks.slips.behaviours.odd_calls import odd_calls, odd_wire
from benchmarks.slips.behaviours.reported import reported
from benchmarks.slips.behaviours.servers import servers
from benchmarks.slips.behaviours.talk import circles, talk
from benchmarks.slips.behaviours.text_tools import text_tools

__all__ = ["TEXTS", "Behaviour", "Wanted", "behaviours"]


def behaviours() -> tuple[Behaviour, ...]:
    """All of them, the flawless model first: what it costs is the measure for the others."""
    kinds = (text_tools, odd_wire, odd_calls, talk, circles, nearly_json, plans, reviews, texts, servers, reported)
    return (Behaviour("flawless", "-"), *(one for kind in kinds for one in kind()))
