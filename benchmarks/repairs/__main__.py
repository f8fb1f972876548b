"""`python -m benchmarks.repairs [--only TEXT] [--json]`: each task through our tools and through plain ones."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from benchmarks.repairs.model import Way
from benchmarks.repairs.running import Result, repair
from benchmarks.repairs.tasks import TEST_COMMANDS, Task, tasks

_AT_ONCE = 2
_NEEDS = {
    "python": ("python3",),
    "javascript": ("npm", "node"),
    "rust": ("cargo",),
    "java": ("make", "javac"),
    "c": ("make", "cc"),
}


def possible(given: Sequence[Task]) -> list[Task]:
    """The tasks whose toolchain is on this machine; what is left out is said."""
    missing = {name: [one for one in needed if shutil.which(one) is None] for name, needed in _NEEDS.items()}
    for language in TEST_COMMANDS:
        if missing[language]:
            print(f"repairs: SKIPPED {language}: there is no {', '.join(missing[language])}", file=sys.stderr)
    return [task for task in given if not missing[task.language]]


def table(results: Sequence[Result]) -> str:
    """The results as Markdown, by language and in all."""
    head = "| | tasks | repaired | executor's turns | model calls | tokens read | tokens written | seconds |"
    lines = [head, "| --- |" + " ---: |" * 7]
    for language in (*dict.fromkeys(result.language for result in results), ""):
        for way in Way:
            own = [one for one in results if one.way is way and language in ("", one.language)]
            lines.append(_line(f"{language or 'all'}, {way}", own))
    return "\n".join(lines)


def _line(name: str, own: Sequence[Result]) -> str:
    count = max(1, len(own))
    sums = [
        sum(one.counted.turns for one in own) / count,
        sum(one.counted.calls for one in own) / count,
        sum(one.counted.tokens_read for one in own) / count,
        sum(one.counted.tokens_written for one in own) / count,
        sum(one.seconds for one in own) / count,
    ]
    turns, calls, read, written, seconds = sums
    right = sum(one.right for one in own)
    return f"| {name} | {len(own)} | {right} | {turns:.1f} | {calls:.1f} | {read:.0f} | {written:.0f} | {seconds:.1f} |"


def main() -> int:
    """Run them; exit code 1 when a repair through our tools is not right."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.repairs", description=__doc__)
    parser.add_argument("--only", default="", help="tasks with this in their language or name")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    chosen = possible([task for task in tasks() if given.only in f"{task.language}: {task.name}"])
    pairs = [(task, way) for task in chosen for way in Way]
    results = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for result in pool.map(lambda pair: repair(*pair), pairs):
            end = "right" if result.right else f"WRONG: {result.reason}"
            print(f"{result.language}: {result.name}, {result.way}: {end}", file=sys.stderr, flush=True)
            results.append(result)
    print(json.dumps([asdict(result) for result in results], indent=1) if given.json else table(results))
    return int(any(not result.right for result in results if result.way is Way.OURS))


if __name__ == "__main__":
    sys.exit(main())
