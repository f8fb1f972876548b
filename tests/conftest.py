"""What all tests share."""

from __future__ import annotations

import functools
import gc
import os
import signal
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from orchestration.memory import collect_less_often
from tests.support import prefork
from tests.support.postgres import database_url, postgres_server, postgres_url
from tests.support.tables import replay_engine_migrations, replay_migrations

pytest_plugins = ["tests.support.time_limits", "tests.support.run_report"]

# Images for containers often forbid to write compiled modules. Hundreds of processes would each compile the project.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
collect_less_often()

# A shell without job control starts what it puts into the background with SIGINT ignored, and every process begun from
# there would ignore it, too; several tests press Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is slow, not wrong: the time limit of the whole test is enough.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


__all__ = ["database_url", "postgres_server", "postgres_url"]


# Few tests, and long ones: begun last, they would keep one process busy when the others have nothing left to do.
_FIRST = ("acceptance", "faults", "integration")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In a distributed run the long tests come first; the order within a folder stays."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        folders = Path(__file__).parent
        items.sort(key=lambda item: _place(item.path.relative_to(folders).parts[0]))


def _place(folder: str) -> int:
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)


# What the tests of these folders share, such as the parsed sources, is costlier to make than most of them are to run.
_TOGETHER = ("tests/unit/architecture/",)


class ScopeScheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives the tests of a file to one process, and those of such a folder."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in _TOGETHER if nodeid.startswith(folder)), super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return ScopeScheduling(config, log)


def pytest_collection_finish() -> None:
    gc.freeze()  # tests and modules stay to the end, so no search for garbage needs to go through them


@pytest.fixture(scope="session", autouse=True)
def forked_programs() -> Iterator[None]:
    """A control process starts workers, and every drill four programs and more, which need not import everything
    first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("subprocess.Popen", prefork.OwnProgram)
        patch.setattr("orchestration.drills.processes.Popen", prefork.Program)
        yield


@pytest.fixture(scope="session", autouse=True)
def replayed_tables() -> None:
    """Most tests have databases of their own."""
    replay_migrations()
    replay_engine_migrations()


@pytest.fixture(scope="session", autouse=True)
def shared_tls_contexts() -> Iterator[None]:
    """Every client of a test would read the system's certificates, which takes longer than most of its requests."""
    make = httpx2.create_ssl_context

    @functools.cache
    def made(verify: bool, trust_env: bool, _files: tuple[str | None, ...]) -> ssl.SSLContext:
        return make(verify, trust_env=trust_env)

    def shared(verify: ssl.SSLContext | str | bool = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        if not isinstance(verify, bool) or cert is not None:
            return make(verify, cert, trust_env)
        return made(verify, trust_env, (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx2._transports.default.create_ssl_context", shared)
        yield


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
