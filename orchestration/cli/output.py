"""What the console writes: text of strangers in it cannot steer the terminal.

Names of alerts, answers of models, file names and commit messages come from outside. An escape sequence in them could
clear the screen or type into the shell, and a bidirectional override shows a text in another order than it has.
"""

from __future__ import annotations

import re
from typing import Any

import click

# Control characters but tab and line feed; separators that some terminals take for line ends; bidirectional
# embeddings, overrides and isolates (Unicode Standard Annex #9, table 4). The marks U+200E and U+200F reorder nothing.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_PICTURES = 0x2400  # the block of pictures for control characters, in their order


def visible(text: str) -> str:
    """The text with a visible sign for each character that would steer a terminal."""
    return _STEERING.sub(lambda found: _sign(found[0]), text)


def escaped(document: str) -> str:
    """JSON, whose texts may hold such characters, with each of them escaped."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def echo(text: object = "", **options: Any) -> None:
    """`click.echo`, safely."""
    click.echo(visible(str(text)), **options)


def secho(text: str, **style: Any) -> None:
    """`click.secho`, safely."""
    click.secho(visible(text), **style)


def _sign(character: str) -> str:
    number = ord(character)
    return chr(_PICTURES + number) if number < 0x20 else "\u2421" if number == 0x7F else "\ufffd"
