"""A PostgreSQL server of our own: a free port, a temporary folder, gone when the tests end."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.patience import Deadline, patient

_USER = "postgres"
# What is written need not outlive the machine, only the server; and nothing lives long enough to be cleaned up.
_QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")
_START_SECONDS = 30.0


class Server:
    """A server in a folder, which can be stopped and started again at the same address."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._command = [*_unprivileged(folder), str(binaries / "postgres"), "-D", str(folder / "data")]
        self._folder = folder
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to answer."""
        settings = [*_QUICK, "listen_addresses=127.0.0.1", f"port={self._port}"]
        settings.append(f"unix_socket_directories={self._folder}")
        options = [word for setting in settings for word in ("-c", setting)]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen([*self._command, *options], cwd=self._folder, stdout=log, stderr=log)
        _wait_for(self._process, self._url("postgres"), self._folder)

    def stop(self) -> None:
        """End at once, without waiting for clients to leave; what was committed is kept."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=patient(10))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=patient(10))
        self._process = None

    def new_database(self) -> str:
        """A fresh, empty database; returns its address."""
        name = f"test_{secrets.token_hex(6)}"
        engine = sa.create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://{_USER}@127.0.0.1:{self._port}/{name}"


@contextmanager
def a_postgres_server() -> Iterator[Server]:
    """A running server of one's own; the test is skipped, with the reason, where there can be none."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not tested: no `postgres` here; as root on Debian: python -m tests.support.debian")
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-postgres-"))
    try:
        command = [*_unprivileged(folder), str(binaries / "initdb"), "-D", str(folder / "data"), "-U", _USER]
        _run([*command, "-A", "trust", "--no-sync"], folder)
        server = Server(binaries, folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A server for the whole session."""
    with a_postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> str:
    """The address of a fresh database."""
    return postgres_server.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a fresh database; a test that asks for it is run on both kinds."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/new/folder/orchestrator.db"


def _binaries() -> Path | None:
    """The folder that holds `postgres` and `initdb`."""
    on_path = shutil.which("postgres")
    places = [Path(on_path).resolve().parent] if on_path else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


def _unprivileged(folder: Path) -> Sequence[str]:
    """What goes before a command so that it does not run as root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return ()
    try:
        user = pwd.getpwnam(_USER)
    except KeyError:
        _run(["useradd", "--system", "--no-create-home", _USER], Path("/"))
        user = pwd.getpwnam(_USER)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--")


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[-1]} failed:\n{done.stdout}{done.stderr}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], url: str, folder: Path) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    deadline = Deadline(_START_SECONDS)
    while process.poll() is None and not deadline.is_over():
        try:
            with engine.connect():
                return
        except sa.exc.OperationalError:
            time.sleep(0.05)
    pytest.fail(f"PostgreSQL did not start:\n{(folder / 'server.log').read_text()}")
