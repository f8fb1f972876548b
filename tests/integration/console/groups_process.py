"""Import each group of commands in a process that has none of the project's modules yet, and print its name."""

from __future__ import annotations

import os
import sys

# What takes long to import and is not ours: shared by the processes that are forked below.
import alembic.command  # noqa: F401
import anyio
import dbos
import fastapi
import httpx2
import rich.console
import sqlalchemy
import structlog
import uvicorn

_SHARED = (anyio, dbos, fastapi, httpx2, rich, sqlalchemy, structlog, uvicorn)


def main() -> int:
    assert not [name for name in sys.modules if name.startswith("orchestration")]
    failed = 0
    for group in _groups():
        if (child := os.fork()) == 0:
            from orchestration.cli import cli

            cli.main([group, "--help"], standalone_mode=False)
            os._exit(0)
        failed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
    return failed


def _groups() -> list[str]:
    reading, writing = os.pipe()
    if os.fork() == 0:
        from orchestration.cli import cli

        os.write(writing, " ".join(cli.list_commands(None)).encode())  # type: ignore[arg-type]
        os._exit(0)
    os.wait()
    return os.read(reading, 10_000).decode().split()


if __name__ == "__main__":
    sys.exit(main())
