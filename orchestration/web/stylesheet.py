"""The style sheet of the pages that need no dashboard: signing in, and answering a message."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_STATIC = Path(__file__).with_name("static")


@cache
def stylesheet() -> str:
    """The element that loads it; empty where it is not installed. The pages work without it."""
    # Found and not named, so that an update of the vendored file needs no change here.
    found = sorted(_STATIC.glob("vendor/pico-*.min.css"))
    return f'<link rel="stylesheet" href="/static/vendor/{found[-1].name}">' if found else ""
