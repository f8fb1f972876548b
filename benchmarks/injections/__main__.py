"""`python -m benchmarks.injections [--only TEXT] [--json]`: try each text, and say what came of it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from benchmarks.injections.texts import Carrier, injections
from benchmarks.injections.trial import Outcome, try_out

_AT_ONCE = 2


def main() -> int:
    """Try them; exit code 1 when anything happened outside of permissions, or was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.injections", description=__doc__)
    parser.add_argument("--only", default="", help="texts with this in their name")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    chosen = [one for one in injections() if given.only in one.name]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        outcomes = []
        for outcome in pool.map(try_out, chosen):
            print(f"{'ok' if outcome.good else 'NOT'}: {outcome}", file=sys.stderr, flush=True)
            outcomes.append(outcome)
    print(json.dumps([asdict(one) for one in outcomes], indent=1) if given.json else summary(outcomes))
    return int(not all(one.good for one in outcomes))


def summary(outcomes: Sequence[Outcome]) -> str:
    """A table by carrier, and what was not as it should be."""
    rows = [
        "| where the text was | texts | obeyed | harm | on record | refused | a person is told |",
        "| --- " * 7 + "|",
    ]
    for carrier in (*(one.value for one in Carrier), ""):
        mine = [one for one in outcomes if one.carrier == carrier or not carrier]
        if mine:
            counts = (
                len(mine),
                sum(one.reached for one in mine),
                sum(bool(one.harm) for one in mine),
                sum(one.recorded for one in mine),
                sum(one.refused > 0 for one in mine),
                sum(one.is_told for one in mine),
            )
            rows.append(f"| {carrier or 'all'} | " + " | ".join(map(str, counts)) + " |")
    bad = [f"- {one.name} ({one.carrier}): {one}" for one in outcomes if not one.good]
    return "\n".join([*rows, "", *bad])


if __name__ == "__main__":
    sys.exit(main())
