"""A PostgreSQL server for one drill: in a temporary folder, on a free port of this machine, so that the drill can stop
and start it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import sqlalchemy as sa

from orchestration.clock import Clock
from orchestration.drills.processes import DrillError

# PostgreSQL refuses to run as root; Debian's packages make this user.
_USER = "postgres"
# Debian keeps the server's programs off the PATH, one folder per version.
_INSTALLED = Path("/usr/lib/postgresql")
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05


class PostgresServer:
    """One server. Committed data survives a stop."""

    def __init__(self, binaries: Path, folder: Path, clock: Clock) -> None:
        self._binaries = binaries
        self._folder = folder
        self._clock = clock
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its one database."""
        return f"postgresql+psycopg://{_USER}@127.0.0.1:{self._port}/postgres"

    def prepare(self) -> None:
        """Create its data folder. Blocks. Raises DrillError."""
        # `trust` asks for no password: the server listens on loopback only and holds nothing but a drill.
        words = ("initdb", "-D", str(self._data), "-U", _USER, "-A", "trust", "--no-sync")
        done = subprocess.run(  # noqa: S603 (found on this machine, no data)
            self._command(*words), cwd=self._folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DrillError(f"expected a PostgreSQL server, got: {done.stderr.strip()[-500:]}")

    async def start(self) -> None:
        """Start it; always at the same address. Raises DrillError."""
        settings = (
            # A drill does not cut the power: waiting for the disk would only slow it down.
            *("fsync=off", f"port={self._port}", "listen_addresses=127.0.0.1"),
            # Debian's default folder for sockets belongs to its own servers and may be missing where none was started.
            f"unix_socket_directories={self._folder}",
        )
        options = [word for setting in settings for word in ("-c", setting)]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 (it begins at once; as above)
                self._command("postgres", "-D", str(self._data), *options), cwd=self._folder, stdout=log, stderr=log
            )
        end = self._clock.monotonic() + _START_SECONDS
        while not await anyio.to_thread.run_sync(self._answers):
            if self._process.poll() is not None or self._clock.monotonic() > end:
                raise DrillError(f"expected a PostgreSQL server that answers, see {self._folder / 'server.log'}")
            await self._clock.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop it and drop every connection (a "fast shutdown", which is what SIGINT asks for). Blocks."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _command(self, program: str, *words: str) -> Sequence[str]:
        before: Sequence[str] = ()
        if os.geteuid() == 0:
            user = pwd.getpwnam(_USER)
            # `setpriv` replaces itself by the server, so `stop` signals the server and not a parent such as `su`.
            before = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--")
        return (*before, str(self._binaries / program), *words)

    def _answers(self) -> bool:
        # Without a pool the connection is closed at once; a pooled one would outlive this
        # engine, which nobody disposes of.
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with contextlib.suppress(sa.exc.OperationalError), engine.connect():
            return True
        return False


@asynccontextmanager
async def postgres_server(clock: Clock) -> AsyncIterator[PostgresServer]:
    """A running server, removed with all its data at the end. Raises DrillError."""
    binaries = _binaries()
    if binaries is None:
        raise DrillError(impossible())
    folder = Path(tempfile.mkdtemp(prefix="drill-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, _USER)
    server = PostgresServer(binaries, folder, clock)
    try:
        await anyio.to_thread.run_sync(server.prepare)
        await server.start()
        yield server
    finally:
        # Also when the drill is being cancelled, or the server would be left running.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(server.stop)
        shutil.rmtree(folder, ignore_errors=True)


def impossible() -> str:
    """Why there can be no such server on this machine; empty if there can."""
    if _binaries() is None:
        return "PostgreSQL's server (`postgres`, `initdb`) is not installed on this machine"
    if os.geteuid() == 0 and not (_has_user() and shutil.which("setpriv")):
        return f"PostgreSQL does not run as root, and there is no user `{_USER}` to run it as"
    return ""


def _binaries() -> Path | None:
    """The folder that holds `postgres` and `initdb`."""
    found = shutil.which("postgres")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(_INSTALLED.glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


def _has_user() -> bool:
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        return False
    return True


def _free_port() -> int:
    # Another program may take the port before the server does; `start` then fails and names the server's log.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
