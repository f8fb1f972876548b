"""One behaviour held against one contender, and the judgement: the same for all of them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from benchmarks.slips import competent
from benchmarks.slips.behaviours import TEXTS, Behaviour, Wanted
from benchmarks.slips.wire import Body, ModelServer, Reply


class End(StrEnum):
    """How a run ended, held against what is really so."""

    RIGHT = "finished right"
    HONEST = "failed honestly"
    SILENT = "silently wrong"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Ending:
    """What a contender says of its run. `texts` are the texts that it delivered; `crashed`: it said nothing usable."""

    succeeded: bool = False
    crashed: bool = False
    reason: str = ""
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assignment:
    """One run: the behaviour, an empty folder for it, the workspace in that, and the address of the server."""

    behaviour: Behaviour
    root: Path
    workspace: Path
    url: str


class Contender(Protocol):
    """Who is put to the test."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def run(self, assignment: Assignment) -> Ending:
        """The whole job, until it ends or its time is up."""
        ...

    def close(self) -> None:
        """End its processes."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """One behaviour's run."""

    contender: str
    version: str
    name: str
    source: str
    wanted: Wanted
    why: str
    end: End
    calls: int
    tokens: int
    reason: str

    @classmethod
    def load(cls, given: Mapping[str, Any]) -> Result:
        """One that was printed as JSON before."""
        return cls(**{**given, "wanted": Wanted(given["wanted"]), "end": End(given["end"])})

    @property
    def good(self) -> bool:
        """Whether it ended as a careful engineer would have it end."""
        return self.end is (End.RIGHT if self.wanted is Wanted.RIGHT else End.HONEST)


class _Model:
    """The flawless model with one behaviour."""

    def __init__(self, behaviour: Behaviour, workspace: Path) -> None:
        self._behaviour = behaviour
        self._workspace = workspace
        self._asked = 0

    def answer(self, body: Body) -> Reply:
        behaviour = self._behaviour
        if behaviour.rule is not None and (refused := behaviour.rule(body)) is not None:
            return refused
        good, request = competent.answer(body, self._workspace), competent.seen(body)
        if behaviour.change is None or behaviour.role not in ("any", request.role):
            return good
        self._asked += 1
        if behaviour.first is not None and self._asked > behaviour.first:
            return good
        return behaviour.change(good, request)


def hold(behaviour: Behaviour, contender: Contender) -> Result:
    """One run in a project of its own."""
    with tempfile.TemporaryDirectory(prefix="slips-") as name:
        root, workspace = Path(name), Path(name, "work")
        for folder in (workspace, root / "before"):
            competent.make_workspace(folder)
            if behaviour.big_file:
                (folder / "big.txt").write_text("a line that nobody needs\n" * 4000, encoding="utf-8")
        server = ModelServer(_Model(behaviour, workspace).answer)
        try:
            ending = contender.run(Assignment(behaviour, root, workspace, server.url))
        finally:
            server.close()
        end = judge(behaviour, workspace, ending)
        return Result(
            contender=contender.name,
            version=contender.version,
            name=behaviour.name,
            source=behaviour.source,
            wanted=behaviour.wanted,
            why=behaviour.why,
            end=end,
            calls=server.calls,
            tokens=server.tokens,
            reason=ending.reason,
        )


def judge(behaviour: Behaviour, workspace: Path, ending: Ending) -> End:
    """What really came of a run: the files decide, not what was said."""
    if ending.crashed:
        return End.CRASHED
    if not ending.succeeded:
        return End.HONEST
    if behaviour.role == "worker":
        wanted = TEXTS[behaviour.name.removeprefix("text: ")]
        return End.RIGHT if any(wanted in text for text in ending.texts) else End.SILENT
    refused = behaviour.role == "reviewer" and behaviour.wanted is Wanted.HONEST
    return End.RIGHT if competent.is_repaired(workspace) and not refused else End.SILENT
