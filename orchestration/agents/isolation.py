"""Isolation of a command: it can change only its own folders, and reaches neither our secrets nor the network.

Used by `sandbox_init.py` in the process that becomes the command, so it depends on the standard library alone, and only
on the parts that are quickly imported: an agent starts hundreds of commands. It uses three mechanisms of Linux, each as
far as the kernel allows: `landlock.py` against changes of files, signals and access to the memory of other processes;
a mount namespace in which secrets are empty and the rest is read-only (`mounts.py`); a network namespace with a
loopback of its own and nothing else (network_namespaces(7)). None of them needs root where user namespaces are allowed.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import sys

if __name__ == "__main__":  # started without any path, so that nothing of the workspace can be imported
    sys.path.append(os.path.abspath(f"{__file__}/../../.."))  # noqa: PTH100 (pathlib would double the start-up time)
from orchestration.agents import landlock, mounts

TYPE_CHECKING = False  # that of `typing`, without its import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILES, MODES, SECRETS, NETWORK = "files", "file modes", "secrets", "network"

_PR_CAPBSET_DROP = 24
# The capabilities of root that a command keeps, by number (capabilities(7)): those about the files that it may change
# (owner, mode, access in spite of both), since root is the usual user in a container and package managers set owners;
# to end its own processes, to become another user, to serve a low port in its own network.
_PRIVILEGES_KEPT = (0, 1, 3, 4, 5, 6, 7, 10)
_PRIVILEGES = tuple(number for number in range(64) if number not in _PRIVILEGES_KEPT)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx")
_DEVICE_FOLDERS = ("/dev/pts", "/dev/shm")  # noqa: S108 (to be written to by a command, not by us)
_NEW_USER, _NEW_MOUNTS, _NEW_NETWORK = 0x10000000, 0x00020000, 0x40000000
# Shared memory, semaphores and message queues that no file stands for would outlive a command (ipc_namespaces(7)).
_NEW_IPC = 0x08000000
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


def furnish(settings: Mapping[str, Sequence[str]], libc: ctypes.CDLL) -> tuple[list[str], mounts.HiddenFiles]:
    """Show this process, and all that it starts, only the part of the machine that a command may see and change.

    Of the settings, each `writable` is a file or folder that may be changed, each `hidden` one that appears empty, each
    `kept` a folder below a hidden one that does not, and `network` keeps the network. Returns which of MODES, SECRETS
    and NETWORK could not be closed off on this kernel, and the hidden files, which have to be renewed.
    """
    cut = "network" not in settings
    own_mounts = _namespaces(libc, network=cut)
    services = [path for path in _SERVICES if cut and os.path.exists(path)]  # noqa: PTH110
    hidden = [*settings.get("hidden", ()), *services] if own_mounts else []
    done, files = mounts.hide(libc, hidden, settings.get("kept", ()))
    missing = [] if own_mounts and done else [SECRETS]
    if cut and not (own_mounts and _loopback(libc)):
        missing.append(NETWORK)
    if not (own_mounts and mounts.protect(libc, settings.get("writable", ()))):
        missing.append(MODES)
    return missing, files


def confine(settings: Mapping[str, Sequence[str]], libc: ctypes.CDLL) -> list[str]:
    """Take from this process, and all that it starts, what it could undo that with; there is no way back.

    Returns FILES, if changes of files could not be restricted on this kernel. A process that Landlock restricts may not
    mount anything any more (landlock(7)), so this comes second.
    """
    restricted = landlock.restrict(libc, (*settings.get("writable", ()), *_DEVICES, *_DEVICE_FOLDERS))
    for number in _PRIVILEGES:
        libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # fails if we do not have it, which is as good
    return [] if restricted else [FILES]


def _namespaces(libc: ctypes.CDLL, *, network: bool) -> bool:
    """Enter new mount, IPC and network namespaces; without root, in a new user namespace that allows them."""
    wanted = _NEW_MOUNTS | _NEW_IPC | (_NEW_NETWORK if network else 0)
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
    return mounts.make_private(libc)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:  # noqa: PTH123 (pathlib would double the start-up time)
        file.write(text)


def _loopback(libc: ctypes.CDLL) -> bool:
    """Bring up the loopback of the new network, so that a project's tests can talk to their own servers."""
    request = struct.pack("16sH14x", b"lo", 0)
    any_socket = libc.socket(_INTERNET, _DATAGRAMS, 0)
    with suppress(OSError):
        flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _GET_FLAGS, request))[1]
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", flags | _UP))
        os.close(any_socket)
    return True  # without a loopback the network is closed off all the same


if __name__ == "__main__":  # a dry run: what this machine does not let us close off
    own_libc = ctypes.CDLL(None, use_errno=True)
    sys.stdout.write(", ".join([*furnish({}, own_libc)[0], *confine({}, own_libc)]))
