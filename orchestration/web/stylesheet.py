"""The frame of the pages that need no dashboard: signing in, answering a message, and refusals. They work without style
sheets, and without the database."""

from __future__ import annotations

import hashlib
from functools import cache
from html import escape
from pathlib import Path

_STATIC = Path(__file__).with_name("static")
_OWN = ("dashboard.css", "frame.css")
_ICON = "icon.svg"


@cache
def stylesheet() -> str:
    """The elements that load the style sheets; empty where they are not installed."""
    # Found and not named, so that an update of the vendored file needs no change here.
    found = [
        *sorted(_STATIC.glob("vendor/pico-*.min.css"))[-1:],
        *(path for path in map(_STATIC.joinpath, _OWN) if path.exists()),
    ]
    return "".join(f'<link rel="stylesheet" href="{_address(path)}">' for path in found)


def framed(title: str, body: str, *, head: str = "") -> str:
    """A whole page that looks like the product. `body` and `head` are HTML, `title` is text."""
    icon = (
        f'<img src="{_address(_STATIC / _ICON)}" alt="" width="26" height="26"> ' if (_STATIC / _ICON).exists() else ""
    )
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">{head}<title>{escape(title)}</title>{stylesheet()}</head>
<body><main class="entrance"><p class="home">{icon}<strong>Orchestrator</strong></p>
<div class="sheet"><h1>{escape(title)}</h1>{body}</div></main></body></html>
"""


def _address(path: Path) -> str:
    """The address of a static file, which changes with its content, since browsers keep it for ever."""
    return f"/static/{path.relative_to(_STATIC)}?v={hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
