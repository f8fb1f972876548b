"""Colours for source text: classes on spans, which the style sheet gives colours in both themes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from markupsafe import Markup, escape

# By the end of a name. Not all of the library's five hundred languages: what is coloured is written by models, and may
# be hostile, so only lexers are used that many people use every day.
_LANGUAGES = {
    **dict.fromkeys((".py", ".pyi"), "python"),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), "javascript"),
    **dict.fromkeys((".ts", ".tsx"), "typescript"),
    **dict.fromkeys((".json", ".jsonl"), "json"),
    **dict.fromkeys((".yaml", ".yml"), "yaml"),
    **dict.fromkeys((".html", ".htm"), "html"),
    **dict.fromkeys((".sh", ".bash"), "bash"),
    **dict.fromkeys((".c", ".h"), "c"),
    **dict.fromkeys((".cpp", ".cc", ".hpp"), "cpp"),
    ".toml": "toml",
    ".css": "css",
    ".go": "go",
    ".rs": "rust",
    ".java": "java",
    ".kt": "kotlin",
    ".cs": "csharp",
    ".rb": "ruby",
    ".php": "php",
    ".sql": "sql",
}
# The class of a token, by the first of these that its name begins with: the most special come first.
_CLASSES = (
    ("Token.Comment", "hl-c"),
    ("Token.Keyword", "hl-k"),
    ("Token.Literal.String", "hl-s"),
    ("Token.Literal.Number", "hl-n"),
    ("Token.Name.Function", "hl-f"),
    ("Token.Name.Class", "hl-f"),
    ("Token.Name.Tag", "hl-k"),
    ("Token.Name.Attribute", "hl-f"),
    ("Token.Name.Builtin", "hl-b"),
    ("Token.Name.Decorator", "hl-b"),
)
# Longer texts are shown without colours: reading them would take longer than a page may.
_MOST_CHARACTERS = 40_000
_LONGEST_LINE = 1_000


def highlighted(lines: Sequence[str], path: str) -> list[Markup]:
    """The lines of a text of that name, as HTML."""
    language = _LANGUAGES.get(PurePosixPath(path).suffix.lower())
    too_long = sum(map(len, lines)) > _MOST_CHARACTERS or any(len(line) > _LONGEST_LINE for line in lines)
    # The library drops a byte order mark, and takes a carriage return for the end of a line, where some lines have one.
    text = "\n".join(line.removesuffix("\r") for line in lines)
    if language is None or too_long or "\r" in text or "\ufeff" in text:
        return [escape(line) for line in lines]
    found = list(_coloured(_lexer(language), text))
    if len(found) != len(lines):
        return [escape(line) for line in lines]
    return [html + "\r" if line.endswith("\r") else html for line, html in zip(lines, found, strict=True)]


@lru_cache(maxsize=64)
def _lexer(language: str) -> Any:
    # Here, since a server that shows no difference does not need the library in its memory.
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]

    return get_lexer_by_name(language, stripnl=False, ensurenl=False)


@lru_cache(maxsize=500)
def _class_of(token: str) -> str:
    return next((name for beginning, name in _CLASSES if token.startswith(beginning)), "")


def _coloured(lexer: Any, text: str) -> Iterator[Markup]:
    line: list[Markup] = []
    for kind, value in lexer.get_tokens(text):
        name = _class_of(str(kind))
        for place, part in enumerate(value.split("\n")):
            if place:
                yield Markup("").join(line)
                line = []
            if part:
                line.append(Markup('<span class="{}">{}</span>').format(name, part) if name else escape(part))
    yield Markup("").join(line)
