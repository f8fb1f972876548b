"""Stands between us and a command, so that nothing of it outlives its time: run as a script, never imported.

`python keeper.py LIMITS COMMAND…`: LIMITS is JSON with `cpu_seconds`, `file_bytes` and `status_fd`. The keeper adopts
whatever the command leaves behind (PR_SET_CHILD_SUBREAPER, see prctl(2)). When its standard input closes, because we
say so or because we died, it ends everything: first politely, then not. The command's exit code, negative for a signal,
goes to `status_fd`.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 0.4
_LOOK_SECONDS = 0.05


def main() -> None:
    limits, command = json.loads(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        become(command, limits, libc)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    code = watch(child)
    end_all(child)
    os.write(limits["status_fd"], str(code).encode())


def become(command: list[str], limits: dict[str, int], libc: ctypes.CDLL) -> None:
    """In the child: take the limits on, and turn into the command."""
    os.setsid()
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.close(limits["status_fd"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits["cpu_seconds"]:
        resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_seconds"], limits["cpu_seconds"] + 1))
    if limits["file_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits["file_bytes"], limits["file_bytes"]))
    try:
        os.execvp(command[0], command)  # noqa: S606 (no shell is the point)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)


def watch(child: int) -> int:
    """Wait for the command to end, or for our standard input to close; then end it."""
    told_to_stop = False
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        readable, _, _ = select.select([] if told_to_stop else [0], [], [], _LOOK_SECONDS)
        if readable and not os.read(0, 1):
            told_to_stop = True
            signal_group(child, signal.SIGTERM)
            deadline = time.monotonic() + _GRACE_SECONDS
            while time.monotonic() < deadline:
                pid, status = os.waitpid(child, os.WNOHANG)
                if pid:
                    return os.waitstatus_to_exitcode(status)
                time.sleep(_LOOK_SECONDS / 5)
            signal_group(child, signal.SIGKILL)


def end_all(child: int) -> None:
    """Kill what is left of the command's group, and everything it left behind: that is now our child."""
    signal_group(child, signal.SIGKILL)
    while True:
        for pid in children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(_LOOK_SECONDS / 10)
        except ChildProcessError:
            return


def signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def children() -> list[int]:
    me = os.getpid()
    with open(f"/proc/{me}/task/{me}/children") as file:  # noqa: PTH123 (pathlib would double the start-up time)
        return [int(pid) for pid in file.read().split()]


if __name__ == "__main__":
    main()
