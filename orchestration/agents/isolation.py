"""Isolation of a command: it can write only to its workspace, and reaches neither our secrets nor the network.

Used by `sandbox_init.py` in the process that becomes the command, so it depends on the standard library alone, and only
on the parts that are quickly imported: an agent starts hundreds of commands. It uses three mechanisms of Linux, each as
far as the kernel allows: Landlock against writing, signals and access to the memory of other processes (landlock(7)); a
mount namespace in which files with secrets are empty (mount_namespaces(7)); a network namespace with a loopback of its
own and nothing else (network_namespaces(7)). None of them needs root where user namespaces are allowed.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import sys

TYPE_CHECKING = False  # that of `typing`, without its import
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FILES, SECRETS, NETWORK = "files", "secrets", "network"

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
# The capabilities of root that do not concern files, by number (capabilities(7)): inspect other processes, load
# modules, make devices, mount, trace. Those that concern files are kept, because root is the usual user in a container.
_PRIVILEGES = (2, 8, 9, 12, 13, 16, 17, 18, 19, 21, 22, 25, 27, 32, 33, 34, 38, 39, 40)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULESET_VERSION = 1
_PATH_BENEATH = 1
# The access rights of Landlock that change something, by the ABI version that introduced them. A right that the kernel
# does not know makes the whole ruleset invalid.
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_CHANGES = (0b1_1111_1111 << 4) | _WRITE_FILE
_CHANGES_SINCE = {2: 1 << 13, 3: _TRUNCATE}
_SCOPES, _SCOPES_SINCE = 0b11, 6  # abstract sockets, signals
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx")
_DEVICE_FOLDERS = ("/dev/pts", "/dev/shm")  # noqa: S108 (to be written to by a command, not by us)
_NEW_USER, _NEW_MOUNTS, _NEW_NETWORK = 0x10000000, 0x00020000, 0x40000000
_PRIVATE, _BIND, _READ_ONLY = (1 << 18) | (1 << 14), 4096, 1
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1
_INTERNET, _DATAGRAMS = 2, 2
# Sockets that give control of the machine or its user. They are files, so a network namespace does not close them.
_SERVICES = (
    *("/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock", "/run/crio/crio.sock"),
    *("/run/dbus/system_bus_socket", "/run/systemd/private"),
)


class suppress:  # noqa: N801 (as it is called in `contextlib`)
    """`contextlib.suppress`, without its import."""

    def __init__(self, *errors: type[BaseException]) -> None:
        self._errors = errors

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, self._errors)


def read_settings(words: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The settings of a command line, which are written `name=value` and end with `--`, and the words after that."""
    settings: dict[str, list[str]] = {}
    end = words.index("--")
    for word in words[:end]:
        name, _, value = word.partition("=")
        settings.setdefault(name, []).append(value)
    return settings, list(words[end + 1 :])


def isolate(settings: Mapping[str, Sequence[str]], libc: ctypes.CDLL) -> list[str]:
    """Isolate this process and all that it starts; there is no way back.

    Of the settings, each `writable` is a file or folder that may be changed, each `hidden` one that appears empty, and
    `network` keeps the network. Returns which of FILES, SECRETS and NETWORK could not be closed off on this kernel.
    """
    cut = "network" not in settings
    own_mounts = _namespaces(libc, network=cut)
    missing = []
    if not (own_mounts and _hide(libc, [*settings.get("hidden", ()), *(_SERVICES if cut else ())])):
        missing.append(SECRETS)
    if cut and not (own_mounts and _loopback(libc)):
        missing.append(NETWORK)
    # After the mounts: a process that Landlock restricts may not mount anything any more (landlock(7)).
    if not _keep_from_writing(libc, settings.get("writable", ())):
        missing.append(FILES)
    for number in _PRIVILEGES:
        libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # fails if we do not have it, which is as good
    return missing


def _namespaces(libc: ctypes.CDLL, *, network: bool) -> bool:
    """Enter new mount and network namespaces; without root, in a new user namespace that allows them."""
    wanted = _NEW_MOUNTS | (_NEW_NETWORK if network else 0)
    # Read first: in a new user namespace both are the overflow id until they are mapped (user_namespaces(7)).
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(wanted) != 0:
        if libc.unshare(_NEW_USER | wanted) != 0:
            return False
        with suppress(OSError):
            # The kernel accepts a gid_map from an unprivileged process only after this (user_namespaces(7)).
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{user} {user} 1")
            _write("/proc/self/gid_map", f"{group} {group} 1")
    # Private, or what is mounted here would appear in the mount namespace of the host, too (mount_namespaces(7)).
    return bool(libc.mount(b"none", b"/", None, _PRIVATE, None) == 0)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123 (pathlib would double the start-up time)
        file.write(text)


def _hide(libc: ctypes.CDLL, paths: Iterable[str]) -> bool:
    """Mount something empty over each file and folder. What does not exist needs no hiding."""
    hidden = True
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112
            done = libc.mount(b"none", os.fsencode(path), b"tmpfs", _READ_ONLY, b"size=4k,mode=555") == 0
        else:
            done = libc.mount(b"/dev/null", os.fsencode(path), None, _BIND, None) == 0
        hidden = hidden and (done or not os.path.lexists(path))
    return hidden


def _loopback(libc: ctypes.CDLL) -> bool:
    """Bring up the loopback of the new network, so that a project's tests can talk to their own servers."""
    request = struct.pack("16sH14x", b"lo", 0)
    any_socket = libc.socket(_INTERNET, _DATAGRAMS, 0)
    with suppress(OSError):
        flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _GET_FLAGS, request))[1]
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", flags | _UP))
        os.close(any_socket)
    return True  # without a loopback the network is closed off all the same


def _keep_from_writing(libc: ctypes.CDLL, writable: Iterable[str]) -> bool:
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
    for path in (*writable, *_DEVICES, *_DEVICE_FOLDERS):
        _allow(libc, rules, path, changes)
    # landlock_restrict_self(2) requires this of a process without CAP_SYS_ADMIN. It also keeps setuid programs from
    # gaining rights.
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    closed = bool(libc.syscall(_RESTRICT_SELF, rules, 0) == 0)
    os.close(rules)
    return closed


def _allow(libc: ctypes.CDLL, rules: int, path: str, changes: int) -> None:
    """Allow changes below a path. A path that does not exist is skipped."""
    with suppress(OSError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights = changes if os.path.isdir(path) else changes & (_WRITE_FILE | _TRUNCATE)  # noqa: PTH112
        # Without padding: the kernel declares `struct landlock_path_beneath_attr` as packed.
        libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
        os.close(place)


if __name__ == "__main__":  # a dry run: what this machine does not let us close off
    sys.stdout.write(", ".join(isolate({}, ctypes.CDLL(None, use_errno=True))))
