"""How a token is written: its fixed letters, and how many of which characters follow them.

A shape is literal text with groups such as `<a36>`: an alphabet and how many characters of it, `<a36+>` for that many
or more, `<a20-40>` for a range.
"""

from __future__ import annotations

import re

ALPHABETS = {
    "d": "0-9",
    "h": "0-9a-f",
    "x": "0-9A-Fa-f",
    "u": "0-9A-Z",
    "l": "0-9a-z",
    "z": "A-Za-z",
    "a": "0-9A-Za-z",
    "w": "0-9A-Za-z_-",
    "b": "0-9A-Za-z+/",
    "t": "0-9A-Za-z_.~-",
    "e": "0-9A-Za-z_=.+/-",
}
# What a token may have beyond the least that its vendor documents: they lengthen their tokens from time to time.
_MORE = 512
_GROUP = re.compile(r"<([a-z])([0-9]+)(\+|-[0-9]+)?>")


def shape_expression(shape: str) -> str:
    """The regular expression of a shape. Raises ValueError for an alphabet that is unknown."""
    parts, at, last = [], 0, ""
    for group in _GROUP.finditer(shape):
        letter, least, more = group.group(1), int(group.group(2)), group.group(3)
        if letter not in ALPHABETS:
            raise ValueError(f"unknown alphabet '{letter}' in '{shape}'; known are {', '.join(ALPHABETS)}")
        # A group of an exact length, and one in the middle, must be able to give back what a literal after it needs.
        most = least if more is None else least + _MORE if more == "+" else int(more[1:])
        possessive = "+" if group.end() == len(shape) else ""
        parts += [re.escape(shape[at : group.start()]), f"[{ALPHABETS[letter]}]{{{least},{most}}}{possessive}"]
        at, last = group.end(), ALPHABETS[letter] if more is None else ""
    tail = re.escape(shape[at:])
    # One character more, and it is something else, such as a longer digest.
    return "".join([*parts, tail]) + (f"(?![{last}])" if last and not tail else "")


def shape_anchor(shape: str) -> tuple[tuple[int, int], str]:
    """The fixed letters by which a shape is found: its beginning, or else those after its first group, with the least
    and the most that may be before them."""
    first = _GROUP.match(shape)
    if first is None:
        return (0, 0), shape.partition("<")[0]
    least, more = int(first.group(2)), first.group(3) or ""
    rest = shape[first.end() :]
    lead = least, int(more[1:]) if more else least
    following, anchor = shape_anchor(rest)
    return (lead[0] + following[0], lead[1] + following[1]), anchor
