"""What imperfect models and servers do, each with the place where it was reported.

Every behaviour is played by a model that is otherwise flawless. `wanted` says what a careful engineer would make of it:
`RIGHT` where the meaning can be told or asked for, `HONEST` where no good end exists and the run has to say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

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
    return (Behaviour("flawless", "-", why="there is nothing to decide"), *(one for kind in kinds for one in _of(kind)))


_WHY: Mapping[Callable[[], Iterator[Behaviour]], str] = {
    text_tools: "the text holds a complete call of an offered tool",
    odd_wire: "each part can belong to one call only, or asking again helps",
    odd_calls: "one meaning is possible, or the tool's answer says what is wrong",
    talk: "asking again helps",
    circles: "it goes on once it is told",
    nearly_json: "one value is possible",
    plans: "one plan is possible, or asking again helps",
    reviews: "one verdict is given, in one piece",
    texts: "a text is what it is",
    servers: "the server says what it cannot do",
    reported: "what is meant is complete in the answer, or asking again helps",
}


def _of(kind: Callable[[], Iterator[Behaviour]]) -> Iterator[Behaviour]:
    """The behaviours of a kind, each with the reason why it can be decided, or its own reason why not."""
    for one in kind():
        yield replace(one, why=one.why or _WHY[kind])
