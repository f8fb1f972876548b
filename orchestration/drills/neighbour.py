"""A program of somebody else on the same machine: `python -m orchestration.drills.neighbour burn SECONDS`, or
`… hoard MEGABYTES SECONDS`."""

from __future__ import annotations

import sys
import time

import click

_MEGABYTE = 1_048_576


def burn(seconds: float) -> None:
    """Use all of one processor."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000))


def hoard(megabytes: float, seconds: float) -> None:
    """Keep memory, every page of it touched: untouched pages are not counted."""
    held = [bytearray(b"x") * _MEGABYTE for _ in range(int(megabytes))]
    time.sleep(seconds)
    held.clear()


def main(what: str, *numbers: str) -> None:
    """Begin, and print that."""
    click.echo("at work")
    if what == "burn":
        burn(float(numbers[0]))
    else:
        hoard(*map(float, numbers))


if __name__ == "__main__":
    main(*sys.argv[1:])
