"""`python -m benchmarks.slips [--only TEXT] [--json]`: hold each behaviour, and say how the runs ended."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from benchmarks.slips import competent
from benchmarks.slips.behaviours import TEXTS, Behaviour, Wanted, behaviours
from benchmarks.slips.wire import Body, ModelServer, Reply

_SECONDS = 120
_AT_ONCE = 2
# The shipped agents and workflow, so that what is measured is what a new project gets.
_SHIPPED = json.loads((Path(__file__).parents[2] / "config" / "agents.config.json").read_text(encoding="utf-8"))


class End(StrEnum):
    """How a run ended, held against what is really so."""

    RIGHT = "finished right"
    HONEST = "failed honestly"
    SILENT = "silently wrong"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Result:
    """One behaviour's run."""

    name: str
    source: str
    wanted: Wanted
    end: End
    calls: int
    tokens: int
    reason: str

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


def hold(behaviour: Behaviour) -> Result:
    """One run by the console command, in a project of its own."""
    with tempfile.TemporaryDirectory(prefix="slips-") as name:
        root, workspace = Path(name), Path(name, "work")
        competent.make_workspace(workspace)
        if behaviour.big_file:
            (workspace / "big.txt").write_text("a line that nobody needs\n" * 4000, encoding="utf-8")
        server = ModelServer(_Model(behaviour, workspace).answer)
        try:
            done = _run(behaviour, root, workspace, server.url)
        finally:
            server.close()
        end, reason = _judge(behaviour, root, workspace, done)
        return Result(behaviour.name, behaviour.source, behaviour.wanted, end, server.calls, server.tokens, reason)


def _run(behaviour: Behaviour, root: Path, workspace: Path, url: str) -> subprocess.CompletedProcess[str]:
    config = root / "config" / "agents.config.json"
    config.parent.mkdir()
    config.write_text(json.dumps(_configuration(behaviour, url)), encoding="utf-8")
    agent = ("--agent", behaviour.agent) if behaviour.agent else ()
    goal = "Report on prices.py." if behaviour.agent else competent.GOAL
    command = [sys.executable, "-m", "orchestration", "--config", str(config), "run", "--json", "--patience", "3"]
    return subprocess.run(
        [*command, "--workspace", str(workspace), *agent, "--", goal],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
        env={**os.environ, "SCRIPTED_KEY": "none"},
        cwd=root,
    )


def _configuration(behaviour: Behaviour, url: str) -> dict[str, Any]:
    provider = {"enabled": True, "baseUrl": url, "defaultModel": "scripted", "apiKeyEnv": "SCRIPTED_KEY"}
    runtime = {"defaultProvider": "openai", "openai": provider}
    if behaviour.agent:
        return {"runtime": runtime, "agents": [{"id": behaviour.agent, "role": "worker", "tools": ["read_file"]}]}
    return {"runtime": runtime, "agents": _SHIPPED["agents"], "workflow": _SHIPPED["workflow"]}


def _judge(
    behaviour: Behaviour, root: Path, workspace: Path, done: subprocess.CompletedProcess[str]
) -> tuple[End, str]:
    if "Traceback" in done.stderr or not done.stdout.strip():
        return End.CRASHED, done.stderr[-300:]
    run = json.loads(done.stdout)[0]
    if run["status"] != "succeeded":
        return End.HONEST, str(run.get("reason", ""))
    if behaviour.role == "worker":
        wanted = TEXTS[behaviour.name.removeprefix("text: ")]
        kept = any(wanted in file.read_text(encoding="utf-8") for file in root.glob("artifacts/*/*.md"))
        return (End.RIGHT if kept else End.SILENT), ""
    refused = behaviour.role == "reviewer" and behaviour.wanted is Wanted.HONEST
    return (End.RIGHT if competent.is_repaired(workspace) and not refused else End.SILENT), ""


def table(results: Sequence[Result]) -> str:
    """The report, as Markdown."""
    base = results[0].calls or 1
    finished = [result.calls for result in results if result.end is End.RIGHT]
    ends = Counter(result.end for result in results)
    right = [result for result in results if result.wanted is Wanted.RIGHT]
    lines = [f"{len(results)} behaviours: " + ", ".join(f"{ends[end]} {end}" for end in End)]
    share = sum(finished) / max(1, len(finished)) / base
    lines.append(f"of {len(right)} whose meaning can be told, {sum(result.good for result in right)} finished right")
    lines.append(f"model calls of a run that finished: {share:.2f} times those of the flawless model")
    lines += [
        "",
        "| behaviour | reported in | wanted | came | calls | tokens |",
        "| --- | --- | --- | --- | ---: | ---: |",
    ]
    lines += [
        f"| {one.name} | {one.source} | {one.wanted} | {'' if one.good else '**'}{one.end}{'' if one.good else '**'} "
        f"| {one.calls} | {one.tokens} |"
        for one in results
    ]
    return "\n".join(lines)


def main() -> int:
    """Run them; exit code 1 when any was silently wrong or crashed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="behaviours with this in their name")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    chosen = [one for one in behaviours() if given.only in one.name or one.name == "flawless"]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        results = []
        for result in pool.map(hold, chosen):
            print(f"{result.end}: {result.name} {result.reason[:100]}", file=sys.stderr, flush=True)
            results.append(result)
    if given.json:
        print(json.dumps([asdict(result) for result in results], indent=1))
    else:
        print(table(results))
    return int(any(result.end in (End.SILENT, End.CRASHED) for result in results))


if __name__ == "__main__":
    sys.exit(main())
