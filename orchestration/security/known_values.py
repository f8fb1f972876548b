"""The search for known values: all their spellings at once, in a time that hardly depends on how many there are.

A spelling of fifteen characters or more contains eight that begin at a multiple of eight, wherever it is. So only those
blocks of a text are looked up, as numbers, among the blocks of all spellings; the same with blocks of four for shorter
spellings, where there are many of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from orchestration.security.value_spellings import MINIMUM_LENGTH, spellings

_LONG, _SHORT = 8, 4
_FORMATS: dict[int, Literal["Q", "I"]] = {_LONG: "Q", _SHORT: "I"}
# So many are found faster one by one.
_FEW = 10
_TELLS_NOTHING = 2


class _Blocks:
    """Spellings by their blocks of one size."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._format = _FORMATS[size]
        self._forms: dict[int, tuple[tuple[int, str], ...]] = {}

    @property
    def shortest(self) -> int:
        """The least length at which a spelling contains a whole block, wherever it is."""
        return 2 * self._size - 1

    def add(self, form: str) -> None:
        data = form.encode("latin-1", "replace")
        for offset in range(self._size):
            number = memoryview(data[offset : offset + self._size]).cast(self._format)[0]
            self._forms[number] = (*self._forms.get(number, ()), (offset, form))

    def copy(self) -> _Blocks:
        other = _Blocks(self._size)
        other._forms = dict(self._forms)
        return other

    def find(self, text: str, data: bytes) -> Iterator[tuple[int, int]]:
        if not self._forms:
            return
        numbers = memoryview(data)[: len(data) - len(data) % self._size].cast(self._format).tolist()
        if self._forms.keys().isdisjoint(numbers):
            return
        for at, number in enumerate(numbers):
            for offset, form in self._forms.get(number, ()):
                start = at * self._size - offset
                if start >= 0 and text.startswith(form, start):
                    yield start, start + len(form)


class KnownValues:
    """The spellings of values, built once. Immutable, so that any thread may search while another adds values."""

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._long, self._short = _Blocks(_LONG), _Blocks(_SHORT)
        self._single: tuple[str, ...] = ()
        self._tiny: tuple[str, ...] = ()
        self._beginnings: dict[str, tuple[str, ...]] = {}
        self._longest = 0

    def __bool__(self) -> bool:
        return bool(self._values)

    def with_more(self, values: Iterable[str]) -> KnownValues:
        """These and others; itself, if they are known. Values that are too short to be told from other text are not."""
        more = {value for value in values if len(value) >= MINIMUM_LENGTH} - self._values
        if not more:
            return self
        both = KnownValues()
        both._values = self._values | more
        both._single, both._tiny, both._longest = self._single, self._tiny, self._longest
        both._long, both._short, both._beginnings = self._long.copy(), self._short.copy(), dict(self._beginnings)
        for form in {form for value in more for form in spellings(value)}:
            both._add(form)
        return both

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Where spellings of the values are, from their start until before their end, in no order; they may overlap."""
        if not self._values:
            return
        data = text.encode("latin-1", "replace")
        yield from self._long.find(text, data)
        if len(self._single) > _FEW:
            yield from self._short.find(text, data)
        for form in self._tiny if len(self._single) > _FEW else (*self._tiny, *self._single):
            yield from _occurrences(text, form)

    def begun(self, text: str) -> int:
        """How many characters of a spelling the text ends with, if they are enough to tell anything."""
        for start in range(max(0, len(text) - self._longest + 1), len(text) - _TELLS_NOTHING):
            forms = self._beginnings.get(text[start : start + _TELLS_NOTHING + 1], ())
            if any(form.startswith(text[start:]) for form in forms):
                return len(text) - start
        return 0

    def _add(self, form: str) -> None:
        self._longest = max(self._longest, len(form))
        beginning = form[: _TELLS_NOTHING + 1]
        self._beginnings[beginning] = (*self._beginnings.get(beginning, ()), form)
        if len(form) >= self._long.shortest:
            self._long.add(form)
        elif len(form) >= self._short.shortest:
            self._short.add(form)
            self._single += (form,)
        else:
            self._tiny += (form,)


def _occurrences(text: str, part: str) -> Iterator[tuple[int, int]]:
    at = text.find(part)
    while at >= 0:
        yield at, at + len(part)
        at = text.find(part, at + len(part))
