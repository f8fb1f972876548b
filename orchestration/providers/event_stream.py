"""Reading a stream of server-sent events whose data are JSON, from any cut of its bytes. Pure.

By the standard (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream): lines end with
CR, LF or both, the data of an event may have several lines, comments and unknown fields are passed over, and a mark of
the byte order may come first. Beyond it, as servers are: no blank line between events, none at the end, and bare lines
of JSON without `data:`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_DONE = b"[DONE]"


class NoEventError(ValueError):
    """An event holds something that is not JSON."""


@dataclass(slots=True)
class StreamEvent:
    """One event; `done` is the mark of the end, which has no data."""

    data: Any = None
    name: str = ""
    done: bool = False


class EventStreamReader:
    """Turns the bytes of a stream into events as soon as they are complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._data: list[bytes] = []
        self._name = ""

    def feed(self, part: bytes) -> Iterator[StreamEvent]:
        """The events that are complete with this part. Raises NoEventError."""
        self._rest += part
        if not self._begun:
            if len(self._rest) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(self._rest):
                return
            self._begun, self._rest = True, self._rest.removeprefix(_BYTE_ORDER_MARK)
        for line in self._lines():
            if line.startswith(b"data: {") and not self._data:
                # Nearly every line of nearly every stream.
                yield from self._datum(line[6:])
            elif line or self._data:
                yield from self._line(line)
            else:
                self._name = ""

    def _lines(self) -> list[bytes]:
        """The lines that are complete. A CR at the end may be the half of a line end; its line waits for the rest."""
        if b"\r" not in self._rest:
            *lines, self._rest = self._rest.split(b"\n")
            return lines
        held = b"\r" if self._rest.endswith(b"\r") else b""
        *lines, rest = _LINE_END.split(self._rest[: len(self._rest) - len(held)])
        self._rest = rest + held
        return lines

    def close(self) -> Iterator[StreamEvent]:
        """The last event, if the stream ended without the blank line after it. Raises NoEventError."""
        yield from self._line(self._rest.rstrip(b"\r"))
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[StreamEvent]:
        if not line:
            if self._data:
                yield self._event(_parsed(b"\n".join(self._data)))
            self._data, self._name = [], ""
            return
        name, _, value = line.partition(b":")
        match name:
            case b"data":
                yield from self._datum(value.removeprefix(b" "))
            case b"event":
                self._name = value.strip().decode("utf-8", "replace")
            case _ if line.startswith((b"{", b"[")):
                # Some servers write an error into the stream as a bare line of JSON.
                yield self._event(_parsed(line))
            case _:
                pass

    def _datum(self, value: bytes) -> Iterator[StreamEvent]:
        """One line of data. It is an event at once if it is complete: the blank line after it may come late, or
        never."""
        if value.strip() == _DONE:
            self._data = []
            yield StreamEvent(done=True)
            return
        if not value.strip() and not self._data:
            return
        self._data.append(value)
        if len(self._data) == 1 and value.rstrip().endswith((b"}", b"]")):
            try:
                found = _parsed(value)
            except NoEventError:
                return
            yield self._event(found)

    def _event(self, data: Any) -> StreamEvent:
        self._data = []
        return StreamEvent(data, self._name)


def read_document(text: bytes) -> Any:
    """A JSON document of a server. Bytes that are no UTF-8 become the mark for that, and numbers that JSON does not
    know become null: one bad character is no reason to lose an answer. Raises ValueError."""
    try:
        return _DECODER.decode(text.decode(errors="replace"))
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None


def _no_number(_: str) -> None:
    return None


def _parsed(text: bytes) -> Any:
    try:
        return read_document(text)
    except ValueError:
        raise NoEventError("the stream held something that is not JSON") from None


# Made once: `json.loads` makes a new one for every document that is not read in the usual way.
_DECODER = json.JSONDecoder(parse_constant=_no_number)
