"""Landlock: from now on, this process and all that it starts may change files only where it says (landlock(7)).

Part of `isolation.py`, and like it on the standard library alone.
"""

from __future__ import annotations

import ctypes
import os
import struct

TYPE_CHECKING = False  # that of `typing`, without its import
if TYPE_CHECKING:
    from collections.abc import Iterable

_PR_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULESET_VERSION = 1
_PATH_BENEATH = 1
# The access rights of Landlock that change something, by the ABI version that introduced them. A right that the kernel
# does not know makes the whole ruleset invalid.
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_CHANGES = (0b1_1111_1111 << 4) | _WRITE_FILE
_CHANGES_SINCE = {2: 1 << 13, 3: _TRUNCATE}
_SCOPES, _SCOPES_SINCE = 0b11, 6  # abstract sockets, signals


def restrict(libc: ctypes.CDLL, writable: Iterable[str]) -> bool:
    """Allow changes of these files, and below these folders, and nowhere else; False where the kernel cannot."""
    version = libc.syscall(_CREATE_RULESET, None, 0, _RULESET_VERSION)
    if version < 1:
        return False
    changes = _CHANGES
    for since, right in _CHANGES_SINCE.items():
        changes |= right if version >= since else 0
    scopes = _SCOPES if version >= _SCOPES_SINCE else 0
    attributes = struct.pack("QQQ", changes, 0, scopes)[: 24 if scopes else 8]
    rules = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    for path in writable:
        _allow(libc, rules, path, changes)
    # landlock_restrict_self(2) requires this of a process without CAP_SYS_ADMIN. It also keeps setuid programs from
    # gaining rights.
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    closed = bool(libc.syscall(_RESTRICT_SELF, rules, 0) == 0)
    os.close(rules)
    return closed


def _allow(libc: ctypes.CDLL, rules: int, path: str, changes: int) -> None:
    """Allow changes below a path. A path that does not exist is skipped."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    rights = changes if os.path.isdir(path) else changes & (_WRITE_FILE | _TRUNCATE)  # noqa: PTH112
    # Without padding: the kernel declares `struct landlock_path_beneath_attr` as packed.
    libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    os.close(place)
