"""The tasks: one fault each, in one of five small projects that are right without it.

A project's tests find each of the faults. `edits` say what is right and what the task makes of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PROJECTS = Path(__file__).parent / "projects"
# Entries of the CRC-32 table as each language writes them: a long file with one wrong line in it.
_ENTRIES = {
    "python": "    0x{:08X},",
    "javascript": "  0x{:08x},",
    "rust": "    0x{:08x},",
    "java": "        0x{:08x},",
    "c": "    0x{:08x}u,",
}
_TABLE = re.compile(r"^.*@TABLE@.*$", re.MULTILINE)
TEST_COMMANDS = {
    "python": ("python3", "-m", "unittest"),
    "javascript": ("npm", "test"),
    "rust": ("cargo", "test"),
    "java": ("make", "test"),
    "c": ("make", "test"),
}


@dataclass(frozen=True, slots=True)
class Edit:
    """One place: the file, the text that is right, and what the task makes of it."""

    path: str
    right: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Task:
    """A fault, with what its finder says of it. `hint` is what a search for it would look for."""

    language: str
    name: str
    goal: str
    hint: str
    edits: tuple[Edit, ...]

    @property
    def command(self) -> tuple[str, ...]:
        return TEST_COMMANDS[self.language]

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(edit.path for edit in self.edits))


def project_files(language: str) -> dict[str, str]:
    """The files of a project as they are right, by their paths."""
    folder = _PROJECTS / language
    table = "\n".join(_ENTRIES[language].format(entry) for entry in _table())
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    return {
        path.relative_to(folder).as_posix(): _TABLE.sub(lambda _: table, path.read_text(encoding="utf-8"))
        for path in files
    }


def broken_files(task: Task) -> dict[str, str]:
    """The files of a task's project, with the fault in them. Raises ValueError where an edit fits no single place."""
    files = project_files(task.language)
    for edit in task.edits:
        if files[edit.path].count(edit.right) != 1:
            raise ValueError(f"{task.language}, {task.name}: {edit.right!r} is not at one place of {edit.path}")
        files[edit.path] = files[edit.path].replace(edit.right, edit.wrong)
    return files


def _table() -> list[int]:
    entries = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ 0xEDB88320 if value & 1 else value >> 1
        entries.append(value)
    return entries


def _entry(language: str, path: str, place: int) -> Task:
    right = _ENTRIES[language].format(_table()[place])
    wrong = _ENTRIES[language].format(_table()[place] ^ 0x4000)
    hint = wrong.strip(" ,u")
    goal = f"Entry {place} of the table in {path} is wrong."
    return Task(language, "a wrong entry of a long table", goal, hint, (Edit(path, f"{right}\n", f"{wrong}\n"),))


def tasks() -> tuple[Task, ...]:
    """All twenty-five, five for each language."""
    return (*_python(), *_javascript(), *_rust(), *_java(), *_c())


def _python() -> tuple[Task, ...]:
    orders, money = "shop/orders.py", "shop/money.py"
    return (
        Task(
            "python",
            "the last page is lost",
            "pages() loses the last page when it is shorter than the others.",
            "def pages",
            (Edit(orders, "range(0, len(orders), size)", "range(0, len(orders) - size + 1, size)"),),
        ),
        Task(
            "python",
            "a check that is missing",
            "parse_line() accepts a quantity of 0 and a negative price.",
            "def parse_line",
            (
                Edit(
                    orders,
                    "    quantity, price = int(parts[1]), int(parts[2])\n    if quantity < 1 or price < 0:\n"
                    '        raise ValueError(f"expected a quantity of 1 or more and a price of 0 or more, '
                    'got {text!r}")\n',
                    "    quantity, price = int(parts[1]), int(parts[2])\n",
                ),
            ),
        ),
        Task(
            "python",
            "two places in one file",
            "Lines of one article at different prices are put together, and customers are not in the order of names.",
            "there.article ==",
            (
                Edit(
                    orders,
                    "there.article == line.article and there.price == line.price",
                    "there.article == line.article",
                ),
                Edit(orders, "return dict(sorted(found.items()))", "return found"),
            ),
        ),
        Task(
            "python",
            "two files",
            "Discounts are rounded down instead of to whole cents, half a cent away from zero.",
            "def rounded",
            (
                Edit(money, "int(whole) + (rest >= Fraction(1, 2))", "int(whole) + (rest > Fraction(1, 2))"),
                Edit(
                    orders,
                    "rounded(percent_of(self.subtotal, self.discount))",
                    "int(percent_of(self.subtotal, self.discount))",
                ),
            ),
        ),
        _entry("python", "shop/crc.py", 77),
    )


def _javascript() -> tuple[Task, ...]:
    versions, query = "src/versions.js", "src/query.js"
    return (
        Task(
            "javascript",
            "numbers compared as texts",
            "compare() puts 1.0.0-10 before 1.0.0-2.",
            "function compareTags",
            (Edit(versions, "return compareNumbers(Number(one), Number(other));", "return one < other ? -1 : 1;"),),
        ),
        Task(
            "javascript",
            "a case that is missing",
            "caret() lets 0.3.0 pass for ^0.2.1, although versions below 1.0 promise nothing.",
            "function caret",
            (Edit(versions, "  if (other.major === 0 && one.minor !== other.minor) return false;\n", ""),),
        ),
        Task(
            "javascript",
            "two places in one file",
            "parseQuery() cuts a value at its second equals sign, and merge() changes nested settings of its argument.",
            "indexOf",
            (
                Edit(query, "decode(pair.slice(at + 1))", "decode(pair.split('=')[1])"),
                Edit(query, "const merged = { ...base };", "const merged = base;"),
            ),
        ),
        Task(
            "javascript",
            "two files",
            "newest() takes 1.9.9 for newer than 1.10.0, and a version with a tag for newer than the one without.",
            "function newest",
            (
                Edit(query, "[...versions].sort(compare).at(-1)", "[...versions].sort().at(-1)"),
                Edit(
                    versions,
                    "compareNumbers(right.length === 0 ? 0 : 1, left.length === 0 ? 0 : 1)",
                    "compareNumbers(left.length, right.length)",
                ),
            ),
        ),
        _entry("javascript", "src/crc.js", 130),
    )


def _rust() -> tuple[Task, ...]:
    lib, roman = "src/lib.rs", "src/roman.rs"
    return (
        Task(
            "rust",
            "bytes counted for characters",
            "wrap() breaks lines too early where letters have more than one byte.",
            "pub fn wrap",
            (Edit(lib, "line.chars().count() + 1 + word.chars().count()", "line.len() + 1 + word.len()"),),
        ),
        Task(
            "rust",
            "a branch that is missing",
            "wrap() loses the last line.",
            "std::mem::replace",
            (
                Edit(
                    lib,
                    "    if !line.is_empty() {\n        lines.push(line);\n    }\n    lines\n",
                    "    lines\n",
                ),
            ),
        ),
        Task(
            "rust",
            "two places in one file",
            "lower_bound() finds the place after equal elements, and merged() leaves ranges apart that touch.",
            "pub fn lower_bound",
            (
                Edit(lib, "if sorted[middle] < *wanted {", "if sorted[middle] <= *wanted {"),
                Edit(lib, "if start <= last.1 + 1 =>", "if start <= last.1 =>"),
            ),
        ),
        Task(
            "rust",
            "two files",
            "Chapters are numbered from nought, and the fourth is IIII.",
            "place as u32",
            (
                Edit(roman, '    (4, "IV"),\n', ""),
                Edit(roman, "const PARTS: [(u32, &str); 13]", "const PARTS: [(u32, &str); 12]"),
                Edit(lib, "roman::roman(place as u32 + 1)", "roman::roman(place as u32)"),
            ),
        ),
        _entry("rust", "src/crc.rs", 201),
    )


def _java() -> tuple[Task, ...]:
    cache, csv = "src/LeastRecent.java", "src/Csv.java"
    return (
        Task(
            "java",
            "a use that does not count",
            "get() of LeastRecent does not count as a use, so that a value is dropped which was just read.",
            "public Optional<V> get",
            (Edit(cache, "        hits++;\n        touch(key);\n", "        hits++;\n"),),
        ),
        Task(
            "java",
            "a whole number too early",
            "hitRate() is 0 unless every call found something.",
            "public double hitRate",
            (Edit(cache, "(double) hits / calls", "(double) (hits / calls)"),),
        ),
        Task(
            "java",
            "two places in one file",
            "Csv.format() does not quote fields with line ends, and does not double the quotes inside.",
            "needsQuotes",
            (
                Edit(csv, " || field.indexOf('\\n') >= 0;", ";"),
                Edit(csv, 'QUOTE + field.replace("\\"", "\\"\\"") + QUOTE', "QUOTE + field + QUOTE"),
            ),
        ),
        Task(
            "java",
            "two files",
            "A report's name with a comma is not quoted, and a cache that was never asked has no number for a rate.",
            "Csv.format",
            (
                Edit(
                    "src/Report.java",
                    'Csv.format(List.of(name, keys, String.format(Locale.ROOT, "%.1f", 100 * cache.hitRate())))',
                    'String.join(",", List.of(name, keys, String.format(Locale.ROOT, "%.1f", 100 * cache.hitRate())))',
                ),
                Edit(cache, "calls == 0 ? 0.0 : (double) hits / calls", "(double) hits / calls"),
            ),
        ),
        _entry("java", "src/Crc.java", 9),
    )


def _c() -> tuple[Task, ...]:
    buffer, numbers = "src/buffer.c", "src/numbers.c"
    return (
        Task(
            "c",
            "no room for the last byte",
            "buffer_append() writes one byte past the end of its memory.",
            "bool buffer_append",
            (Edit(buffer, "reserve(buffer, buffer->length + length + 1)", "reserve(buffer, buffer->length + length)"),),
        ),
        Task(
            "c",
            "a rule that is missing",
            "days_of_month() takes 1900 for a leap year.",
            "is_leap",
            (
                Edit(
                    numbers,
                    "return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;",
                    "return year % 4 == 0;",
                ),
            ),
        ),
        Task(
            "c",
            "two places in one file",
            "parse_number() takes 4294967296 for 0, and median() is wrong for numbers that are far apart.",
            "parse_number",
            (
                Edit(numbers, "        if (sum > UINT32_MAX)\n            return false;\n", ""),
                Edit(
                    numbers, "return (one > other) - (one < other);", "return (int)((unsigned)one - (unsigned)other);"
                ),
            ),
        ),
        Task(
            "c",
            "two files",
            "A buffer starts with 8 bytes, not with the 16 that are meant, and buffer_count() counts overlaps.",
            "BUFFER_FIRST",
            (
                Edit("src/buffer.h", "#define BUFFER_FIRST 16", "#define BUFFER_FIRST 8"),
                Edit(buffer, "        at += strlen(piece);", "        at += 1;"),
            ),
        ),
        _entry("c", "src/crc.c", 250),
    )
