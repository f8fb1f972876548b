"""What a behaviour is, and the sources that several share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.slips.competent import Seen
from benchmarks.slips.wire import Body, Reply

Change = Callable[[Reply, Seen], Reply]
Rule = Callable[[Body], Reply | None]


class Wanted(StrEnum):
    """How a run with this behaviour should end."""

    RIGHT = "right"
    HONEST = "honest"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One way to be imperfect. `change` spoils the replies of `role`, the first so many of them or all; `rule` is the
    server's, and comes before the model. `streamed`: it is about chunks, so peers have to stream, too. `why` says what
    makes it decidable, or what keeps everybody from knowing."""

    name: str
    source: str
    role: str = "executor"
    change: Change | None = None
    first: int | None = None
    rule: Rule | None = None
    wanted: Wanted = Wanted.RIGHT
    big_file: bool = False
    streamed: bool = False
    why: str = ""

    @property
    def agent(self) -> str | None:
        """The only agent that runs, where it is not the whole workflow."""
        return "reporter" if self.role == "worker" else None


FINDINGS = "our own runs"
OLLAMA_TEXT = "ollama/ollama#12174"
SAME_INDEX = "vercel/ai#14277"
NULL_CONTENT = "lmstudio-ai/lmstudio-bug-tracker#261"
LOCAL_JSON = "Open-Historia/open-historia#354"
LOOPS = "OpenHands/OpenHands#7183"
THINKING = "langchain-ai/langchain#35530"
