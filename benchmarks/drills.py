"""`python -m benchmarks.drills [--contender X] [--fault Y] [--json] [--keep FOLDER]`: the same faults for us and for
other frameworks. Prints a Markdown table."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import peers
from benchmarks.drilled import ours, peer
from benchmarks.drilled.ground import PEERS
from benchmarks.drilled.model import FAULTS, Fault, Outcome
from benchmarks.drilled.table import markdown
from orchestration.cli.common import run_async
from orchestration.clock import SystemClock
from orchestration.drills.processes import DrillError

TITLES = {ours.NAME: "ours", **{name: one.title for name, one in PEERS.items()}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold the drills one after the other. Exit code 1 when one could not be held."""
    options = _read(arguments)
    faults = [fault for fault in FAULTS if not options.fault or fault.name in options.fault]
    names = [name for name in TITLES if not options.contender or name in options.contender]
    present = [name for name in names if name == ours.NAME or peers.python_of(PEERS[name].environment)]
    outcomes, failed = run_async(lambda: _held(faults, present, options.keep))
    if options.json:
        print(json.dumps([dataclasses.asdict(one) for one in outcomes], indent=2))
    else:
        versions = {one.contender: f"{TITLES[one.contender]} {one.version}" for one in outcomes}
        print(f"Python {platform.python_version()}, {os.cpu_count()} processors; {', '.join(versions.values())}\n")
        print(markdown(faults, outcomes, TITLES))
    return 1 if failed else 0


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drills", description=__doc__)
    parser.add_argument("--contender", action="append", choices=list(TITLES), help="only this one; may be repeated")
    parser.add_argument("--fault", action="append", choices=[fault.name for fault in FAULTS], help="only this one")
    parser.add_argument("--json", action="store_true", help="everything that was seen, as JSON")
    parser.add_argument("--keep", type=Path, help="keep the peers' folders, with their logs, below this one")
    return parser.parse_args(arguments)


async def _held(faults: Sequence[Fault], names: Sequence[str], keep: Path | None) -> tuple[list[Outcome], bool]:
    outcomes, failed = [], False
    for fault in faults:
        for name in names:
            print(f"{fault.name}: {TITLES[name]}", file=sys.stderr, flush=True)
            try:
                held = ours.hold(fault) if name == ours.NAME else peer.hold(name, fault, SystemClock(), keep)
                outcomes.append(await held)
            except DrillError as error:
                print(f"  not held: {error}", file=sys.stderr)
                failed = True
    return outcomes, failed


if __name__ == "__main__":
    sys.exit(main())
