from __future__ import annotations

import contextlib
import socket

from orchestration.web.listener import _bind


def test_a_listening_socket_is_known_as_tcp_so_that_asyncio_sends_at_once() -> None:
    """Else the second half of each answer waits up to 40 ms for the acknowledgement of the first."""
    with contextlib.closing(_bind("127.0.0.1", 0)) as listening:
        assert listening.proto == socket.IPPROTO_TCP
