"""`python -m benchmarks [NAME…]`: run the contenders in turn, several rounds, and print medians and ratios."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import peers

ROUNDS = 5
ROOT = Path(__file__).resolve().parent.parent
OURS = sys.executable
OF_PEERS = {"calls_litellm": "litellm", "calls_pydantic_ai": "pydantic-ai", "steps_langgraph": "langgraph"}
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "ignore",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks the network for its price list
}

Result = dict[str, Any]
Row = tuple[str, Result]
Contender = tuple[str, str, tuple[str, ...]]


@contextmanager
def provider(mode: str) -> Iterator[str]:
    """An instant provider in a process of its own; yields its port."""
    command = [OURS, str(ROOT / "benchmarks/server.py"), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def calls_made(port: str) -> int:
    """How many calls a provider has had since it was last asked."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count") as answer:
        return int(json.load(answer)["count"])


def run(name: str, *arguments: str) -> Result:
    """Run one contender; its last line of output is its result."""
    python = peers.python_of(OF_PEERS[name]) if name in OF_PEERS else OURS
    command = [str(python), "-m", f"benchmarks.contenders.{name}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def present(contenders: Sequence[Contender]) -> list[Contender]:
    """Those that can be run here, peers with their versions."""
    found = []
    for title, name, arguments in contenders:
        peer = OF_PEERS.get(name)
        if peer is None:
            found.append((title, name, arguments))
        elif peers.python_of(peer) is not None:
            found.append((f"{title} {peers.version_of(peer)}", name, arguments))
    return found


def medians(rounds: Sequence[Result]) -> Result:
    """The median of each figure."""
    return {key: statistics.median(result[key] for result in rounds) for key in rounds[0]}


def in_turn(*contenders: Contender) -> list[Row]:
    """Run the contenders one after the other, several times, so that a slow moment hits them all."""
    here = present(contenders)
    results: dict[str, list[Result]] = {title: [] for title, _, _ in here}
    for _ in range(ROUNDS):
        for title, name, arguments in here:
            results[title].append(run(name, *arguments))
    return [(title, medians(result)) for title, result in results.items()]


def show(title: str, rows: Sequence[Row], key: str, unit: str) -> None:
    """Print a table; the first row is what the others are compared with."""
    print(f"\n## {title}\n\n| | {unit} | ratio |\n| --- | ---: | ---: |")
    floor = rows[0][1][key]
    for name, result in rows:
        print(f"| {name} | {result[key]:.3g} | {result[key] / floor:.2f} |", flush=True)


def overhead() -> None:
    """Processor time of one model call to a provider that answers at once."""
    with provider("ok") as port:
        for kind in ("plain", "stream"):
            ours: list[Contender] = [
                ("HTTP client alone", "calls_raw", (port, kind)),
                ("gateway", "calls_ours", (port, kind)),
            ]
            others: list[Contender] = [
                ("pydantic-ai Agent.run", "calls_pydantic_ai", (port,)),
                ("LiteLLM Router", "calls_litellm", (port,)),
            ]
            rows = in_turn(*ours, *(others if kind == "plain" else []))
            show(f"One call to an instant provider ({kind})", rows, "cpu_ms", "ms of processor time")


def dead_primary() -> None:
    """Six calls in a row with a primary that fails, and a living fallback."""
    for mode in ("503", "429"):
        with provider(mode) as dead, provider("ok") as alive:
            ports = f"{dead},{alive}"
            contenders: list[Contender] = [
                ("gateway", "calls_ours", (ports, "fallback")),
                ("pydantic-ai FallbackModel", "calls_pydantic_ai", (ports,)),
                ("LiteLLM Router", "calls_litellm", (ports,)),
            ]
            print(f"\n## Dead primary answering {mode}: six calls in a row\n")
            print("| | first call, s | later calls, s (median) | calls to the dead primary |")
            print("| --- | ---: | ---: | ---: |")
            for title, name, arguments in present(contenders):
                calls_made(dead)
                # Once: these are whole seconds of waiting, beside which a slow moment of the machine is nothing.
                first, *later = run(name, *arguments)["seconds"]
                median = statistics.median(later)
                print(f"| {title} | {first:.3f} | {median:.3f} | {calls_made(dead)} |", flush=True)


def steps() -> None:
    """A durable step on SQLite."""
    rows = in_turn(
        ("the engine alone", "steps_engine", ("500",)),
        ("our step", "steps_ours", ("500",)),
        ("LangGraph, SQLite saver", "steps_langgraph", ("500",)),
    )
    per_step = [(name, {key: result[key] / result["count"] * 1000 for key in ("wall", "cpu")}) for name, result in rows]
    show("One durable step, time", per_step, "wall", "ms")
    show("One durable step, processor time", per_step, "cpu", "ms")


def console() -> None:
    """`orchestrator --help`, and what a process needs before it does anything."""
    rows = in_turn(("python -c pass", "console", ("pass",)), ("orchestrator --help", "console", ("help",)))
    show("Start of the console command", rows, "cpu_s", "s of processor time")
    rows = in_turn(
        ("python alone", "memory", ("python",)),
        ("engine alone", "memory", ("engine",)),
        ("application at rest", "memory", ("app",)),
    )
    show("Memory", rows, "mb", "MB resident")


BENCHMARKS = {"overhead": overhead, "dead-primary": dead_primary, "steps": steps, "console": console}

if __name__ == "__main__":
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        sys.exit(f"expected some of {', '.join(BENCHMARKS)}, got {', '.join(unknown)}")
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, medians of {ROUNDS} interleaved rounds")
    for name in names:
        BENCHMARKS[name]()
