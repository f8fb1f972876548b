"""`python -m benchmarks.slips [--only TEXT] [--contender NAME…] [--load FILE…] [--json]`: hold each behaviour, and say
how the runs ended."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks.slips.behaviours import Behaviour, behaviours
from benchmarks.slips.holding import Contender, End, Result, hold
from benchmarks.slips.ours import Ours
from benchmarks.slips.peer import PEERS, Peer
from benchmarks.slips.table import behaviours_table, summary

_AT_ONCE = 2


def hold_all(chosen: Sequence[Behaviour], make: Callable[[], Contender]) -> list[Result]:
    """All of these, two at a time, each thread with a contender of its own."""
    own, made = threading.local(), list[Contender]()

    def one(behaviour: Behaviour) -> Result:
        if not hasattr(own, "contender"):
            own.contender = make()
            made.append(own.contender)
        return hold(behaviour, own.contender)

    results = []
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for result in pool.map(one, chosen):
                said = f"{result.contender}: {result.end}: {result.name} {result.reason[:100]!r}"
                print(said, file=sys.stderr, flush=True)
                results.append(result)
    finally:
        for contender in made:
            contender.close()
    return results


def _makers(names: Sequence[str], log: Path | None) -> list[Callable[[], Contender]]:
    """The contenders that are there; a peer that cannot be installed says so and is left out."""
    found: list[Callable[[], Contender]] = []
    for name in names:
        if name == Ours.name:
            found.append(Ours)
        elif Peer(name).installed:
            found.append(partial(Peer, name, log))
    return found


def main() -> int:
    """Run them; exit code 1 when any run of ours was silently wrong or crashed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slips", description=__doc__)
    parser.add_argument("--only", default="", help="behaviours with this in their name")
    parser.add_argument("--contender", action="append", choices=[Ours.name, *PEERS, "all"], help="may be repeated")
    parser.add_argument("--log", type=Path, help="what the peers print, for a closer look")
    parser.add_argument("--load", action="append", type=Path, default=[], help="add the results of an earlier --json")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    names = given.contender or ([] if given.load else [Ours.name])
    makers = _makers([Ours.name, *PEERS] if "all" in names else names, given.log)
    chosen = [one for one in behaviours() if given.only in one.name or one.name == "flawless"]
    results = [Result.load(one) for file in given.load for one in json.loads(file.read_text(encoding="utf-8"))]
    results += [result for make in makers for result in hold_all(chosen, make)]
    if given.json:
        print(json.dumps([asdict(result) for result in results], indent=1))
    else:
        print(f"Python {platform.python_version()}\n\n{summary(results)}\n\n{behaviours_table(results)}")
    ours = [result for result in results if result.contender == Ours.name]
    return int(any(result.end in (End.SILENT, End.CRASHED) for result in ours))


if __name__ == "__main__":
    sys.exit(main())
