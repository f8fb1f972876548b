"""What is typed behind the name of a benchmark."""

from __future__ import annotations

import argparse


def arguments(about: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the benchmark's own text."""
    return argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
