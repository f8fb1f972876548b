"""The init process of a sandbox: nothing of a command outlives its limits. Run as a script, never imported.

`python sandbox_init.py SETTINGS -- COMMAND…`: the settings are `seconds=…`, `memory_bytes=…`, `cpu_seconds=…`,
`file_bytes=…`, `disk_bytes=…`, `files=…`, `processes=…`, `status_fd=…`, and `input_fd=…` for a command that reads; with
`isolated=yes` those of `isolation.furnish` as well, and `required=yes` where it must not be left incomplete. With
`listen_fd=…` a port of loopback is opened in the command's own network and handed to the caller, who serves there;
`{port}` in each variable that a `port_in=…` names becomes its number.

This process adopts whatever the command leaves behind (PR_SET_CHILD_SUBREAPER, see prctl(2)). When a limit is reached,
or its standard input closes because the caller wants it to or has died, it ends everything, first with SIGTERM, then
with SIGKILL. It reports on `status_fd`: the exit code, negative for a signal, and the limit that was reached. It
enforces the limits itself, so that they hold even while the calling process hangs.

An agent starts hundreds of commands, so only what is quickly imported is used: `signal`, `json`, `contextlib` and
`typing` would take twice as long as everything else here together.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import ctypes
import os
import resource
import select
import sys
import time

TYPE_CHECKING = False  # that of `typing`, without its import
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestration.agents.mounts import HiddenFiles

if __name__ == "__main__":  # started without any path, so that nothing of the workspace can be imported
    sys.path.append(os.path.abspath(f"{__file__}/../../.."))  # noqa: PTH100 (pathlib would double the start-up time)
from orchestration.agents import isolation  # noqa: E402 (found only now)

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 0.4
_LOOK_SECONDS = 0.1
_BACKLOG = 64
_PAGE = resource.getpagesize()
_TICKS = os.sysconf("SC_CLK_TCK")
# Ignored signals stay ignored after exec (execve(2)). Python ignores the first two; the others are ignored if the
# service was started in the background, by nohup for example.
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_LIMITS = ("seconds", "memory_bytes", "cpu_seconds", "file_bytes", "disk_bytes", "files", "processes")
_LIMIT_OF_SIGNAL = {-signal.SIGXCPU: "cpu_seconds", -signal.SIGXFSZ: "file_bytes"}


def main() -> None:
    settings, command = isolation.read_settings(sys.argv[1:])
    limits = {name: float(settings[name][0]) for name in _LIMITS}
    status = int(settings["status_fd"][0])
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    missing, hidden = isolation.furnish(settings, libc) if "isolated" in settings else ([], None)
    if "listen_fd" in settings:
        hand_over_port(int(settings["listen_fd"][0]), settings.get("port_in", ()))
    init = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(status)
        become(command, limits, settings, missing, libc, init)
    for number in settings.get("input_fd", ()):
        os.close(int(number))
    # Our copies of the output's pipe would keep it open after the command has closed its own.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    code, stopped = watch(child, limits, hidden)
    end_all(child)
    os.write(status, f"{code} {stopped}".encode())
    os._exit(0)  # the interpreter would first take itself apart


def hand_over_port(channel: int, variables: Sequence[str]) -> None:
    """Listen on a port that the command reaches, and pass the socket to the caller (SCM_RIGHTS, see unix(7)).

    A socket stays in the network in which it was made (network_namespaces(7)), so the caller serves a command that has
    no other network.
    """
    import _socket  # `socket` would take longer than everything else here
    import struct

    listening = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, _socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(_BACKLOG)
    caller = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, channel)
    passed = struct.pack("i", listening.fileno())
    caller.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, passed)])
    caller.close()
    port = str(listening.getsockname()[1])
    listening.close()
    for name in variables:
        os.environ[name] = os.environ[name].replace("{port}", port)


def become(
    command: list[str],
    limits: Mapping[str, float],
    settings: Mapping[str, list[str]],
    missing: list[str],
    libc: ctypes.CDLL,
    init: int,
) -> None:
    """In the child: apply the limits, and turn into the command."""
    os.setsid()
    if "isolated" in settings:
        missing = [*missing, *isolation.confine(settings, libc)]
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have died before the line above took effect.
    if os.getppid() != init:
        os._exit(1)
    given = settings.get("input_fd")
    os.dup2(int(given[0]) if given else os.open(os.devnull, os.O_RDONLY), 0)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The soft limit sends SIGXCPU, by which the limit is recognised; a command that ignores it is killed a second later
    # (setrlimit(2)).
    seconds, most = int(limits["cpu_seconds"]), int(limits["file_bytes"])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    if missing and "required" in settings:
        os.write(2, f"{command[0]}: this machine cannot isolate it from {', '.join(missing)}\n".encode())
        os._exit(126)
    try:
        os.execvp(command[0], command)  # noqa: S606 (no shell is the point)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode(errors="replace"))
        os._exit(127)


def watch(child: int, limits: Mapping[str, float], hidden: HiddenFiles | None) -> tuple[int, str]:
    """Wait for the command to end, for a limit to be reached, or for our standard input to close; then end it. Keep
    hidden meanwhile what is hidden from it.

    Returns its exit code, and the limit that was reached, if it was one.
    """
    deadline = time.monotonic() + limits["seconds"]
    # `select` can wait for it with a time limit, which `waitpid` cannot.
    over = os.pidfd_open(child)
    next_look = time.monotonic() + _LOOK_SECONDS
    before = files_used()
    news = [hidden.news] if hidden is not None and hidden.news >= 0 else []
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code, _LIMIT_OF_SIGNAL.get(code, "")
        now = time.monotonic()
        if now >= deadline:
            return stop(child, politely=True), "seconds"
        if now >= next_look:
            next_look = now + _LOOK_SECONDS
            if reached := limit_reached(limits, before):
                return stop(child, politely=False), reached
        readable, _, _ = select.select([0, over, *news], [], [], min(_LOOK_SECONDS, deadline - now))
        if hidden is not None:
            hidden.renew()
        if 0 in readable and not os.read(0, 1):
            return stop(child, politely=True), ""


def limit_reached(limits: Mapping[str, float], files_before: int) -> str:
    """The limit that all processes of the command together exceed."""
    memory, processes = 0, 0
    times = os.times()
    seconds = times.children_user + times.children_system
    written = bytes_written("self")
    for pid in descendants(os.getpid()):
        processes += 1
        with isolation.suppress(OSError, IndexError, ValueError):
            memory += int(read(f"/proc/{pid}/statm").split()[1]) * _PAGE
            # User and system time, its own and that of the children it has waited for.
            seconds += sum(map(int, read(f"/proc/{pid}/stat").rpartition(")")[2].split()[11:15])) / _TICKS
            written += bytes_written(str(pid))
    files = files_used() - files_before
    used = {
        "memory_bytes": memory,
        "cpu_seconds": seconds,
        "disk_bytes": written,
        "files": files,
        "processes": processes,
    }
    return next((name for name, amount in used.items() if amount > limits[name]), "")


def bytes_written(pid: str) -> int:
    """What a process, with the children that it has waited for, has written to disk or is about to, less what was
    deleted before it came to that (proc_pid_io(5))."""
    fields = dict(line.split(": ") for line in read(f"/proc/{pid}/io").splitlines())
    return int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])


def files_used() -> int:
    """The files of all file systems on which the command has its folders. No process is told which of them are its
    own, so those of others count as well; a file system that has no table of files, such as btrfs, has 0."""
    systems = {}
    for folder in (".", os.environ.get("HOME", ".")):
        with isolation.suppress(OSError):
            systems[os.stat(folder).st_dev] = os.statvfs(folder)  # noqa: PTH116 (pathlib would double the start-up time)
    return sum(system.f_files - system.f_ffree for system in systems.values())


def stop(child: int, *, politely: bool) -> int:
    """End the command itself; returns its exit code."""
    if politely:
        signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(_LOOK_SECONDS / 10)
    signal_group(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def end_all(child: int) -> None:
    """Kill the rest of the command's group and everything it left behind, which are now our children."""
    signal_group(child, signal.SIGKILL)
    pause = _LOOK_SECONDS / 400
    while True:
        for pid in descendants(os.getpid()):
            with isolation.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
            time.sleep(pause)
            pause = min(2 * pause, _LOOK_SECONDS / 20)
        except ChildProcessError:
            return


def signal_group(group: int, number: int) -> None:
    with isolation.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def descendants(pid: int) -> Iterator[int]:
    """All processes below one, the nearer first. One that starts or ends in the meantime may be missed."""
    waiting = [pid]
    while waiting:
        for child in children(waiting.pop(0)):
            yield child
            waiting.append(child)


def children(pid: int) -> list[int]:
    found: list[int] = []
    with isolation.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 (pathlib would double the start-up time)
            found += map(int, read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def read(path: str) -> str:
    with open(path, errors="replace") as file:  # noqa: PTH123 (pathlib would double the start-up time)
        return file.read()


if __name__ == "__main__":
    main()
