"""Programs of the project in processes that need not import everything first.

A console command spends a second on imports and a tenth of it on its work; the suite starts hundreds of them. So each
test process keeps a *template*: a Python process that has imported the console command and waits. `Program` is a
`subprocess.Popen` whose process is forked from the template instead of being executed anew. What runs is a process like
any other: a child of the test process with its own number, session, command line, environment, working directory,
standard streams, signals and exit code, and only those descriptors. Only the interpreter's start and the imports are
saved.

A forked `orchestrator serve`, `demo` or `drill` has a template of its own, from which its workers and the like are
forked: each of them would spend as much. A new SQLite database is made from the statements that the migrations once
came to (`tests.support.tables`).

What a fork cannot give – settings of the interpreter – is left to `Popen`. Some tests start the installed command, such
as those of a new project (`tests/integration/console/test_init.py`).
"""

from __future__ import annotations

import array
import atexit
import ctypes
import functools
import gc
import importlib
import inspect
import io
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from orchestration.agents import process_title
from orchestration.tls import shared_tls_context
from tests.support.tables import replay_engine_migrations, replay_migrations

_REPOSITORY = Path(__file__).parents[2]
_MOST_BYTES = 4_000_000
# The template's last argument makes room for the longest command line of a program, see proc_pid_cmdline(5), and a
# variable of this name for its environment, see proc_pid_environ(5).
_ROOM = "-" * 2_000
_ROOM_NAME = "PREFORK_ROOM"
_ENVIRONMENT_ROOM = "-" * 8_000
# Of the fields after the name, see proc_pid_stat(5); the one after each is the end.
_ARGUMENTS_START = 45
_ENVIRONMENT_START = 47
_PR_SET_CHILD_SUBREAPER = 36  # from <linux/prctl.h>
# Programs that start more of ours.
_START_OTHERS = frozenset({"serve", "worker", "demo", "drill"})
_NOT_FLUSHED = 120  # https://docs.python.org/3/library/sys.html#sys.exit
# Read by the interpreter before any program runs, so a fork cannot follow them.
_INTERPRETERS_OWN = ("PYTHON", "LC_", "LANG", "LD_")
_SUPPORTED = {"stdin", "stdout", "stderr", "cwd", "env", "text", "encoding", "errors", "bufsize", "start_new_session"}
# asyncio gives these to each process that it starts; other values than False are for `Popen`.
_OFF = {"shell", "universal_newlines"}


def call(
    args: Sequence[str], *, data: bytes | None = None, seconds: float, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, and return what it printed. Raises TimeoutExpired, and kills it, after that time."""
    stdin = None if data is None else subprocess.PIPE
    with Program(args, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        try:
            out, err = process.communicate(data, timeout=seconds)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(args, process.returncode, out, err)


class Program(subprocess.Popen[Any]):
    """`python -m MODULE ARGUMENTS…` or `python SCRIPT.py ARGUMENTS…`, forked from the template if it can be."""

    def __init__(self, args: Sequence[str], **options: Any) -> None:
        self._template = _template() if self._is_meant(args) and _is_possible(args, options) else None
        super().__init__(args, **options)

    def _is_meant(self, args: Sequence[str]) -> bool:
        return True

    def _execute_child(self, *arguments: Any, **named: Any) -> None:
        """Where `Popen` creates the process, with the pipes that it has made."""
        if self._template is None:
            super()._execute_child(*arguments, **named)  # type: ignore[misc]
            return
        given = _CREATION.bind(self, *arguments, **named).arguments
        theirs = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
        streams = [number if theirs[number] == -1 else theirs[number] for number in range(3)]
        whose = {"env": given["env"], "session": bool(given["start_new_session"])}
        self.pid = self._template.fork(given["args"], given["cwd"], streams, **whose)
        self._child_created = True
        self._close_pipe_fds(*(given[name] for name in _PIPES))  # type: ignore[attr-defined]


class OwnProgram(Program):
    """What takes the place of `subprocess.Popen` in the test process itself: programs of the project are forked, among
    them the workers of a control process that a test runs, and the drills that it holds."""

    def _is_meant(self, args: Sequence[str]) -> bool:
        words = [] if isinstance(args, str | bytes) else [os.fsdecode(word) for word in args[1:3]]
        return words[:1] == ["-m"] and words[-1].split(".")[0] == "orchestration"


_CREATION = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]
_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


def _is_possible(args: Sequence[str], options: Mapping[str, Any]) -> bool:
    given = {name for name, value in options.items() if name not in _OFF or value}
    if sys.platform != "linux" or isinstance(args, str | bytes) or not given <= _SUPPORTED or len(args) < 2:
        return False
    # A test that has moved into a control group wants its programs there, and not where the template lives.
    if _control_groups() != _HOME:
        return False
    program, what, *_ = map(os.fsdecode, args)
    if program != sys.executable or not (what == "-m" or what.endswith(".py")):
        return False
    words = "".join(map(os.fsdecode, args))
    if "\0" in words or len(words) + len(args) > len(_ROOM):
        return False
    wanted = os.environ if options.get("env") is None else options["env"]
    if len(_joined_environment(wanted)) > len(_ENVIRONMENT_ROOM):
        return False
    return _of_the_interpreter(wanted) == _of_the_interpreter(_template_environment())


def _joined_environment(environment: Mapping[str, str]) -> bytes:
    return b"\0".join(os.fsencode(f"{name}={value}") for name, value in environment.items())


def _control_groups() -> str:
    path = Path("/proc/self/cgroup")
    return path.read_text(encoding="ascii", errors="replace") if path.exists() else ""


_HOME = _control_groups()


def _of_the_interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in environment.items() if name.startswith(_INTERPRETERS_OWN)}
    # The project is installed in place, so it is found without this, too; unbuffered streams can be given (`_stream`).
    return {"PYTHONPATH": str(_REPOSITORY)} | {name: found[name] for name in found if name != "PYTHONUNBUFFERED"}


def _template_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": str(_REPOSITORY)}


class _Template:
    """The process that has imported everything, seen from the test process."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def fork(
        self, args: Sequence[str], cwd: Any, streams: list[int], *, env: Mapping[str, str] | None, session: bool
    ) -> int:
        """The number of a new child of ours that runs this. Raises OSError when the folder is not there."""
        folder = os.fspath(cwd) if cwd is not None else str(Path.cwd())
        if not Path(folder).is_dir():
            raise FileNotFoundError(2, os.strerror(2), folder)
        variables = dict(os.environ if env is None else env)
        wanted = {"args": list(map(os.fsdecode, args)), "cwd": folder, "env": variables, "session": session}
        with _lock:
            # The template forks twice and ends the process between, whose child then is ours, as if we had forked.
            _adopt_orphans(True)
            try:
                data = json.dumps(wanted).encode()
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", streams))]
                self._socket.sendmsg([data], rights)
                return int(self._socket.recv(64))
            finally:
                _adopt_orphans(False)


_lock = threading.Lock()


def _template() -> _Template:
    """The one of this process; tests start programs from several threads at once."""
    with _lock:
        return _made()


@functools.cache
def _made() -> _Template:
    """The template of a process that has none, started anew; it ends with its connection."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            (sys.executable, "-m", __name__, str(theirs.fileno()), _ROOM),
            env=_template_environment() | {_ROOM_NAME: _ENVIRONMENT_ROOM},
            cwd=_REPOSITORY, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),),
        )  # fmt: skip
    atexit.register(process.wait)
    atexit.register(ours.close)
    return _Template(ours)


def _adopt_orphans(yes: bool) -> None:
    words = [ctypes.c_ulong(number) for number in (int(yes), 0, 0, 0)]
    assert ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, *words) == 0


def _serve(connection: socket.socket) -> dict[str, Any]:
    """Fork for every request until the test process ends; in each of the forked processes, return what it is to run."""
    while True:
        data, rights, _, _ = connection.recvmsg(_MOST_BYTES, socket.CMSG_SPACE(3 * array.array("i").itemsize))
        if not data:
            os._exit(0)
        streams = array.array("i")
        for _, _, content in rights:
            streams.frombytes(content)
        reading, writing = os.pipe()
        if middle := os.fork():
            for number in (*streams, writing):
                os.close(number)
            # Only when the process between has ended is its child given to the test process.
            os.waitpid(middle, 0)
            connection.send(os.read(reading, 64))
            os.close(reading)
            continue
        between = os.getpid()
        if os.fork():
            os._exit(0)
        request: dict[str, Any] = json.loads(data)
        if request["session"]:
            os.setsid()
        # Not before that: whoever knows the number may signal the group.
        os.write(writing, str(os.getpid()).encode())
        while os.getppid() == between:
            time.sleep(0.001)
        for number in (reading, writing, connection.detach()):
            os.close(number)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for stream in streams:
            os.close(stream)
        return request


def _with_a_template(request: dict[str, Any]) -> dict[str, Any]:
    """Fork a template for the programs that this one will start; returns in each of them, too, with its own request."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if not os.fork():
        ours.close()
        os.setsid()  # what ends the program's group ends the template by its connection
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        os.close(null)
        return _serve(theirs)
    theirs.close()
    template = _Template(ours)
    globals()["_made"] = lambda: template
    subprocess.Popen = Program  # type: ignore[misc]
    setattr(importlib.import_module("orchestration.drills.processes"), "Popen", Program)  # noqa: B010 (its own name)
    return request


def _become(request: dict[str, Any]) -> NoReturn:
    """Be the program, to its end."""
    if _START_OTHERS.intersection(request["args"]):
        request = _with_a_template(request)
    become = os.execv
    os.execv = lambda path, words: _execute(words) if words[:2] == [sys.executable, "-m"] else become(path, words)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    _show(_ARGUMENTS_START, b" ".join(map(os.fsencode, request["args"])), b"-")
    _show(_ENVIRONMENT_START, _joined_environment(request["env"]), b"\0")
    process_title.show = functools.partial(_show_title, request["args"])
    time.tzset()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = _stream(number, getattr(sys, name))
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    _execute(request["args"])


def _execute(args: Sequence[str]) -> NoReturn:
    """Be the program with this command line; one that then becomes another one of ours does so in the same way."""
    _, what, *arguments = args
    if what == "-m":
        sys.path[0], sys.argv = str(Path.cwd()), arguments
        _run(functools.partial(runpy.run_module, arguments[0], run_name="__main__", alter_sys=True))
    sys.path[0], sys.argv = str(Path(what).resolve().parent), [what, *arguments]
    _run(functools.partial(runpy.run_path, what, run_name="__main__"))


def _run(program: Callable[[], object]) -> NoReturn:
    """Run the program, and end as the interpreter would, but without taking apart all that was imported: that takes
    longer than most commands."""
    code: object = 0
    try:
        program()
    except SystemExit as error:
        code = error.code
    except BaseException as error:  # noqa: BLE001 (as at the top of any program)
        sys.excepthook(type(error), error, error.__traceback__)
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        code = _NOT_FLUSHED
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit((code or 0) & 0xFF)


def _stream(number: int, former: Any) -> Any:
    """A standard stream as the interpreter would have opened it; what it is connected to decides on the buffering."""
    texts = {"encoding": former.encoding, "errors": former.errors}
    if number and os.environ.get("PYTHONUNBUFFERED"):
        return io.TextIOWrapper(io.FileIO(number, "w", closefd=False), write_through=True, **texts)
    by_line = number == 2 or (number == 1 and os.isatty(number))
    return os.fdopen(number, "w" if number else "r", 1 if by_line else -1, closefd=False, **texts)


def _show(field: int, text: bytes, last: bytes) -> None:
    """Let the list of processes show the program's own command line, or its own environment.

    A last byte of a command line that is not zero tells the kernel that the memory holds one text up to its first zero,
    which is how setproctitle(3) leaves it; psutil then parts the words at the spaces.
    """
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    start, end = int(fields[field]), int(fields[field + 1])
    ctypes.memmove(start, text.ljust(end - start - 1, b"\0") + last, end - start)


def _show_title(args: Sequence[str], text: str) -> bool:
    """As `process_title.show` does it, which needs to have the last argument in a place of its own."""
    if not args[-1].startswith(process_title.MARK):
        return False
    title = f"{process_title.MARK}{text}".encode("ascii", "replace")[: len(args[-1])]
    _show(_ARGUMENTS_START, b" ".join([*map(os.fsencode, args[:-1]), title]), b"-")
    return True


def _import_everything() -> None:
    package = importlib.import_module("orchestration")
    for found in pkgutil.walk_packages(package.__path__, "orchestration."):
        # What few programs import, and only when they need it, would make all others larger.
        if not any(part in f"{found.name}." for part in (".__main__.", ".migrations.", ".mcp.", ".telemetry.")):
            importlib.import_module(found.name)
    for name in ("alembic.command", "dbos", "fastapi", "uvicorn", "jinja2", "markdown_it", "holidays"):
        importlib.import_module(name)


def _main(descriptor: str) -> dict[str, Any]:
    connection = socket.socket(fileno=int(descriptor))
    gc.disable()
    _import_everything()
    replay_migrations()
    replay_engine_migrations()
    shared_tls_context()
    # What everybody shares is not looked through again, and its memory stays shared.
    gc.freeze()
    gc.enable()
    tasks = os.listdir("/proc/self/task")  # noqa: PTH208 (names only)
    assert len(tasks) == 1, "a process with threads cannot be forked safely"
    return _serve(connection)


if __name__ == "__main__":
    _become(_main(sys.argv[1]))
