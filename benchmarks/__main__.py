"""`python -m benchmarks [NAME…]`: run the contenders in turn, several rounds, and print medians and ratios."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROUNDS = 3
ROOT = Path(__file__).resolve().parent.parent
OURS = sys.executable
PEERS = ROOT / ".venv-peers/bin/python"
OF_PEERS = frozenset({"calls_litellm", "calls_pydantic_ai", "steps_langgraph"})
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "ignore",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks the network for its price list
}

Row = tuple[str, dict[str, float]]


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
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count") as answer:
        return int(json.load(answer)["count"])


def run(name: str, *arguments: str) -> dict[str, float]:
    """Run one contender; its last line of output is its result."""
    python = PEERS if name in OF_PEERS else OURS
    command = [str(python), "-m", f"benchmarks.contenders.{name}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(result[key] for result in rounds) for key in rounds[0]}


def in_turn(contenders: dict[str, Callable[[], dict[str, float]]]) -> list[Row]:
    """Run the contenders one after the other, several times, so that a slow moment hits them all."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, contender in contenders.items():
            results[name].append(contender())
    return [(name, medians(result)) for name, result in results.items()]


def show(title: str, rows: Sequence[Row], key: str, unit: str) -> None:
    """Print a table; the first row is what the others are compared with."""
    print(f"\n## {title}\n\n| | {unit} | ratio |\n| --- | ---: | ---: |")
    floor = rows[0][1][key]
    for name, result in rows:
        print(f"| {name} | {result[key]:.3g} | {result[key] / floor:.2f} |")


def overhead() -> None:
    """Processor time of one model call to a provider that answers at once."""
    with provider("ok") as port:
        for kind in ("plain", "stream"):
            contenders: dict[str, Callable[[], dict[str, float]]] = {
                "HTTP client alone": lambda kind=kind: run("calls_raw", port, kind),
                "gateway": lambda kind=kind: run("calls_ours", port, kind),
            }
            if kind == "plain":
                contenders["pydantic-ai Agent.run"] = lambda: run("calls_pydantic_ai", port)
                contenders["LiteLLM Router"] = lambda: run("calls_litellm", port)
            show(f"One call to an instant provider ({kind})", in_turn(contenders), "cpu_ms", "ms of processor time")


def dead_primary() -> None:
    """Six calls in a row with a primary that fails, and a living fallback."""
    for mode in ("503", "429"):
        with provider(mode) as dead, provider("ok") as alive:
            ports = f"{dead},{alive}"
            print(f"\n## Dead primary answering {mode}: six calls in a row\n")
            print(
                "| | first call, s | later calls, s (median) | calls to the dead primary |\n"
                "| --- | ---: | ---: | ---: |"
            )
            for name, contender, arguments in (
                ("gateway", "calls_ours", (ports, "fallback")),
                ("pydantic-ai FallbackModel", "calls_pydantic_ai", (ports,)),
                ("LiteLLM Router", "calls_litellm", (ports,)),
            ):
                calls_made(dead)
                seconds = run(contender, *arguments)["seconds"]
                assert isinstance(seconds, list)
                later = statistics.median(seconds[1:])
                print(f"| {name} | {seconds[0]:.3f} | {later:.3f} | {calls_made(dead)} |")


def steps() -> None:
    """A durable step on SQLite."""
    rows = in_turn(
        {
            "the engine alone": lambda: run("steps_engine", "500"),
            "our step": lambda: run("steps_ours", "500"),
            "LangGraph, SQLite saver": lambda: run("steps_langgraph", "500"),
        }
    )
    rows = [(name, {"wall_ms": result["wall"] / result["count"] * 1000}) for name, result in rows]
    show("One durable step", rows, "wall_ms", "ms")


def console() -> None:
    """`orchestrator --help`, and what a process needs before it does anything."""
    rows = in_turn(
        {"python -c pass": lambda: run("console", "pass"), "orchestrator --help": lambda: run("console", "help")}
    )
    show("Start of the console command", rows, "cpu_s", "s of processor time")
    rows = in_turn(
        {"engine alone": lambda: run("memory", "engine"), "application at rest": lambda: run("memory", "app")}
    )
    show("Memory", rows, "mb", "MB resident")


BENCHMARKS = {"overhead": overhead, "dead-primary": dead_primary, "steps": steps, "console": console}

if __name__ == "__main__":
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        sys.exit(f"expected some of {', '.join(BENCHMARKS)}, got {', '.join(unknown)}")
    for name in names:
        BENCHMARKS[name]()
