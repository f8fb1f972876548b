"""What source files define and import, and a map of them that fits a budget. Pure.

aider ranks the files of a repository by who refers to whom, with a parser for each language
(https://aider.chat/docs/repomap.html). Definitions at the margin and lines of imports say nearly as much, need no
parser, and are read from thousands of files in less than a second.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

# Tokenizers of code need a little more than three characters for one token, which are bytes where they are ASCII.
_BYTES_PER_TOKEN = 3
_MOST_NAMES = 14
# Generated code has names of any length.
_LONGEST_NAME = 60
# A longer line does not end the map where it does not fit.
_LONG_LINE_BYTES = 300
_NAME = rb"([A-Za-z_$][\w$]*)"
_MODIFIERS = (
    rb"\n[ \t]{0,4}(?:(?:public|private|protected|internal|static|final|abstract|sealed|open|data|partial|export|"
    rb"default|"
)
_PATTERNS: Mapping[str, re.Pattern[bytes]] = {
    name: re.compile(pattern, re.MULTILINE)
    for name, pattern in {
        "python": rb"\n(?:async def|def|class) " + _NAME,
        "script": rb"\n(?:export )?(?:default )?(?:declare )?(?:async )?(?:abstract )?"
        rb"(?:function\*?|class|interface|type|enum|const|let|var) " + _NAME,
        "go": rb"\n(?:func (?:\([^)]*\) )?|type |var |const )" + _NAME,
        "rust": rb"\n(?:pub(?:\([^)]*\))? )?(?:async )?(?:unsafe )?(?:fn|struct|enum|trait|type|mod|const|static|"
        rb"macro_rules!) " + _NAME,
        "java": _MODIFIERS
        + rb"async|override|suspend) )*(?:class|interface|enum|record|object|struct|trait|fun|namespace) "
        + _NAME,
        "ruby": rb"\n[ ]{0,2}(?:def|class|module) (?:self\.)?" + _NAME,
        "c": rb"\n(?:[A-Za-z_][\w \t*&:<>,]{0,80}[ \t*&])"
        + _NAME
        + rb"\([^;{\n]{0,120}\)?[ \t]*\{?$|\n(?:struct|class|enum|union) "
        + _NAME,
        "php": rb"\n[ ]{0,4}(?:(?:public|private|protected|static|abstract|final) )*(?:function|class|interface|trait) "
        + _NAME,
        "shell": rb"\n(?:function )?" + _NAME + rb" ?\(\)",
    }.items()
}
_LANGUAGES: Mapping[str, str] = {
    suffix: language
    for language, suffixes in {
        "python": "py pyi",
        "script": "js jsx mjs cjs ts tsx mts vue svelte",
        "go": "go",
        "rust": "rs",
        "java": "java kt kts scala cs swift groovy",
        "ruby": "rb",
        "c": "c h cc cpp cxx hpp hh m",
        "php": "php",
        "shell": "sh bash",
    }.items()
    for suffix in suffixes.split()
}
# What a file imports, by language. One expression for all of them would be read ten times slower.
_QUOTED = rb"[ \t(]*['\"]([^'\"\n]+)['\"]"
_IMPORTS: Mapping[str, re.Pattern[bytes]] = {
    name: re.compile(pattern, re.MULTILINE)
    for name, pattern in {
        "python": rb"\n(?:from[ \t]+([\w.]+)[ \t]+import|import[ \t]+([\w.]+))",
        "script": rb"\b(?:from|require|import)" + _QUOTED,
        "go": rb"\n(?:import)?[ \t]*(?:\w+[ \t]+)?\"([\w./-]+)\"$",
        "rust": rb"\n(?:pub )?(?:use[ \t]+([\w:]+)|mod[ \t]+(\w+);)",
        "java": rb"\n(?:import|using)[ \t]+(?:static[ \t]+)?([\w.]+)",
        "ruby": rb"\n[ \t]*require(?:_relative)?" + _QUOTED,
        "c": rb"\n#[ \t]*(?:include|import)[ \t]*[\"<]([^\">\n]+)",
        "php": rb"\n(?:use[ \t]+([\w\\\\]+)|(?:require|include)(?:_once)?" + _QUOTED + rb")",
        "shell": rb"\n(?:source|\.)[ \t]+['\"]?(\S+)",
    }.items()
}
_LEADING = frozenset(
    {"readme", "main", "app", "index", "cli", "server", "makefile", "dockerfile", "manage", "setup", "__main__", "lib"}
)
_PROJECT_FILES = frozenset(
    {"pyproject.toml", "package.json", "cargo.toml", "go.mod", "pom.xml", "build.gradle", "build.gradle.kts", "gemfile"}
)
_ASIDE = re.compile(
    r"(?:^|/)(?:dist|build|target|out|vendor|third_party|generated|coverage|fixtures?|migrations|locales?|static|assets|"
    r"\.[^/]+)/|\.min\.|(?:^|/)(?:package-lock\.json|yarn\.lock|poetry\.lock|uv\.lock|cargo\.lock|go\.sum)$",
    re.IGNORECASE,
)
_TEST = re.compile(r"(?:^|/)(?:tests?|spec|__tests__)/|(?:^|/)test_|_test\.|\.(?:test|spec)\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file, the names that it defines at its margin, the last parts of what it imports, and whether it is code."""

    path: str
    names: tuple[str, ...] = ()
    imports: frozenset[str] = frozenset()
    is_code: bool = False


def outline(path: str, data: bytes) -> SourceFile:
    """What a file defines and imports."""
    language = _LANGUAGES.get(path.rpartition(".")[2].lower())
    if language is None or b"\0" in data[:8192]:
        return SourceFile(path)
    # The expressions begin with a line feed and not with `^`, for which each line would be tried.
    data = b"\n" + data
    names = dict.fromkeys(
        name.decode("utf-8", "replace") for found in _PATTERNS[language].findall(data) if (name := _first(found))
    )
    imports = {_stem(_first(found).decode("utf-8", "replace")) for found in _IMPORTS[language].findall(data)}
    return SourceFile(path, tuple(names), frozenset(imports), is_code=bool(data.strip()))


def _first(found: bytes | tuple[bytes, ...]) -> bytes:
    return found if isinstance(found, bytes) else next((one for one in found if one), b"")


def _stem(imported: str) -> str:
    """The name of the file that is probably meant: the last part without a suffix."""
    last = re.split(r"[/.:\\]+", re.sub(r"\.(?:js|ts|jsx|tsx|mjs|h|hpp|rb|py)$", "", imported))[-1]
    return last.lower()


def draw_map(files: Sequence[SourceFile], tokens: int) -> str:
    """The files, the most important first, with as many of their names as fit into so many tokens; then the folders of
    those that do not fit, with how many there are."""
    room = tokens * _BYTES_PER_TOKEN
    ranked = sorted(files, key=_importance(files))
    # A sixth is kept for the folders of the rest, without which the model would not know that there are any.
    chosen, used = _take(ranked, room if len(files) < 20 else room * 5 // 6)
    lines = [line for _, line in sorted(chosen)]
    paths = {path for path, _ in chosen}
    rest = [file for file in ranked if file.path not in paths]
    return "\n".join([*lines, *_folders(rest, room - used)])


def _take(ranked: Sequence[SourceFile], room: int) -> tuple[list[tuple[str, str]], int]:
    chosen, used = [], 0
    for place, file in enumerate(ranked):
        # The most important files get more of their names: a repository that just fits must not crowd out the rest.
        names = _MOST_NAMES if place < len(ranked) // 4 + 10 else _MOST_NAMES // 3
        line = _line(file, names)
        size = _size(line)
        if used + size > room:
            if size > _LONG_LINE_BYTES:
                continue
            break
        chosen.append((file.path, line))
        used += size
    return chosen, used


def _line(file: SourceFile, most: int) -> str:
    shown = [name for name in file.names if not name.startswith("_")] or list(file.names)
    shown = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…" for name in shown]
    more = f" … {len(shown) - most} more" if len(shown) > most else ""
    return f"{file.path}: {', '.join(shown[:most])}{more}" if shown else file.path


def _importance(files: Iterable[SourceFile]) -> _Rank:
    return _Rank(Counter(name for file in files for name in file.imports))


class _Rank:
    """The place of a file in the order: the higher its score, the earlier."""

    def __init__(self, used: Mapping[str, int]) -> None:
        self._used = used

    def __call__(self, file: SourceFile) -> tuple[float, int, str]:
        path = PurePosixPath(file.path)
        stem = path.stem.lower()
        # A package is imported by the name of its folder.
        name = path.parent.name.lower() if stem in ("__init__", "index", "mod") else stem
        # Many packages are marked by an empty file.
        score = float(min(self._used.get(name, 0), 50)) if file.is_code else 0.0
        score += 5 if file.names else 0
        score += 12 if stem in _LEADING or path.name.lower() in _PROJECT_FILES else 0
        score -= 2 * len(path.parts)
        score -= 8 if _TEST.search(file.path) else 0
        # A copy of something has the name of what everybody imports.
        score -= 100 if _ASIDE.search(file.path) else 0
        return -score, len(path.parts), file.path


def _folders(rest: Sequence[SourceFile], room: int) -> Iterator[str]:
    """The folders of files that are not shown, as far as there is room."""
    if not rest:
        return
    counted = Counter("/".join(PurePosixPath(file.path).parts[:-1][:2]) for file in rest)
    head = f"[and {len(rest)} more files, by folder:]"
    used = _size(head)
    yield head
    for shown, (folder, count) in enumerate(counted.most_common()):
        line = f"{folder or '.'}/: {count}"
        used += _size(line)
        if used > room - 30:
            yield f"[… {len(counted) - shown} more folders]"
            return
        yield line


def _size(line: str) -> int:
    """The bytes of a line with its end."""
    return len(line.encode("utf-8", "surrogatepass")) + 1
