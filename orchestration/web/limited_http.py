"""uvicorn's protocol on httptools, with a limit on the head of a request."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orchestration.web.exposure import MAX_HEAD_BYTES
from orchestration.web.guarded_connection import GuardedConnection


class LimitedHttpProtocol(GuardedConnection, HttpToolsProtocol):
    """Answers 400 to a request whose head is too long, and keeps little more of it than that."""

    _in_head = False
    _just_begun = False
    # What is complete of the head: the parser hands a header over once it has its end.
    _head = 0
    # What has come in for the head, complete or not.
    _received = 0

    def data_received(self, data: bytes) -> None:
        self._just_begun = False
        super().data_received(data)
        # A part in which the head begins may hold the end of a long body before it.
        if self._in_head and not self._just_begun:
            self._received += len(data)
        if self._in_head and self._received > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._just_begun = True
        self._head = self._received = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def _count(self, length: int) -> None:
        self._head += length
        if self._head > MAX_HEAD_BYTES:
            # Ends the parsing of this connection; uvicorn answers 400.
            raise ValueError("the head of the request is too long")
