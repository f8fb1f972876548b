"""Who is on the other end of a connection from this machine, as far as the kernel tells.

All local processes share the loopback addresses, of which there are sixteen million. The user to whom a process belongs
tells them apart: one who guesses passwords must not lock the others out, nor gain a new start by another address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import sys
from pathlib import Path

from starlette.types import Scope

from orchestration.web.connection_limits import source_network
from orchestration.web.forwarded import is_loopback

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOCAL, _REMOTE, _USER = 1, 2, 7


def lock_source(scope: Scope) -> str:
    """What counts as one source of failed sign-ins: a network, or a user of this machine."""
    client = scope.get("client")
    address = str(client[0]) if client else ""
    if not client or not is_loopback(address):
        return source_network(address)[:64]
    user = _local_user((address, int(client[1])), scope.get("server"))
    return "loopback" if user is None else f"loopback, user {user}"


def _local_user(client: tuple[str, int], server: object) -> int | None:
    """The number of the user whose process has the client's end; None where the kernel does not tell."""
    if not (isinstance(server, tuple | list) and len(server) == 2 and isinstance(server[1], int)):
        return None
    ports = f"{client[1]:04X}", f"{server[1]:04X}"
    wanted = {_hexadecimal(client[0]), _hexadecimal(f"::ffff:{client[0]}")}
    for table in _TABLES:
        with contextlib.suppress(OSError, ValueError):
            for line in table.read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                address, _, port = fields[_LOCAL].partition(":")
                # The end of the client: its own address is the local one there.
                if port == ports[0] and address in wanted and fields[_REMOTE].endswith(f":{ports[1]}"):
                    return int(fields[_USER])
    return None


def _hexadecimal(address: str) -> str:
    """An address as the kernel writes it: in words of 32 bits, each in the byte order of the machine
    (https://docs.kernel.org/networking/proc_net_tcp.html)."""
    try:
        packed = ipaddress.ip_address(address).packed
    except ValueError:
        return ""
    words = [packed[start : start + 4] for start in range(0, len(packed), 4)]
    return "".join((word[::-1] if sys.byteorder == "little" else word).hex().upper() for word in words)
