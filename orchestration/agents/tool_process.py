"""A function of the user's that is a tool: described and called in a process of its own."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import anyio.to_thread

from orchestration.agents import sandbox
from orchestration.agents.sandbox import CommandResult, OutputCallback, SandboxLimits
from orchestration.declarations.task import Call

_HOST = Path(__file__).with_name("tool_host.py")
# Importing the user's module may take long, but not for ever.
_DESCRIPTION_SECONDS = 60.0
_SHOWN_OUTPUT = 2000


class OwnToolError(Exception):
    """The function failed, or had to be ended; `timed_out` at its limit of time."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class OwnToolCode:
    """The function `entry_point`, imported from the project's folder or from `python_path`."""

    def __init__(self, entry_point: str, root: Path, python_path: tuple[str, ...]) -> None:
        self._entry_point = entry_point
        self._root = root
        self._python_path = python_path

    async def describe(self) -> Mapping[str, Any]:
        """Its `description` and `parameters`. Raises OwnToolError."""
        limits = SandboxLimits(seconds=_DESCRIPTION_SECONDS)
        found = await self._host(limits, self._root, {}, None, None)
        if "unusable" in found:
            raise OwnToolError(str(found["unusable"]))
        return found

    async def call(
        self,
        arguments: Mapping[str, Any],
        call: Call,
        limits: SandboxLimits,
        variables: Mapping[str, str],
        on_output: OutputCallback,
    ) -> Mapping[str, Any]:
        """What it returned (`text`), raised (`raised`), or did not accept (`bad_call`). Raises OwnToolError."""
        given = {"arguments": dict(arguments), "call": asdict(call)}
        return await self._host(limits, Path(call.workspace), variables, given, on_output)

    async def _host(
        self,
        limits: SandboxLimits,
        cwd: Path,
        variables: Mapping[str, str],
        given: Mapping[str, Any] | None,
        on_output: OutputCallback | None,
    ) -> Mapping[str, Any]:
        async with _folder() as folder:
            result, words = folder / "result.json", []
            if given is not None:
                words = [str(folder / "given.json")]
                (folder / "given.json").write_text(json.dumps(given))
            # Its text is read from the file whole, and cut by the caller; what it prints is only a sign of life.
            ended = await sandbox.run(
                (sys.executable, str(_HOST), str(self._root), self._entry_point, str(result), *words),
                cwd,
                replace(limits, output_bytes=SandboxLimits().output_bytes),
                extra_environment={**variables, **sandbox.own_code_environment(self._python_path)},
                on_output=on_output,
            )
            return self._outcome(ended, result, limits)

    def _outcome(self, ended: CommandResult, result: Path, limits: SandboxLimits) -> Mapping[str, Any]:
        if ended.stopped is not None:
            raise OwnToolError(f"it was ended: {ended.stopped}", timed_out=ended.stopped == limits.describe("seconds"))
        if not result.is_file():
            shown = ended.output[-_SHOWN_OUTPUT:].strip()
            raise OwnToolError(f"its process ended with exit code {ended.exit_code}: {shown}")
        if (size := result.stat().st_size) > sandbox.MOST_RESULT_BYTES:
            raise OwnToolError(f"it returned {size:,} bytes; at most {sandbox.MOST_RESULT_BYTES:,} are allowed")
        found: Mapping[str, Any] = json.loads(result.read_text())
        return found


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="orchestrator-tool-"))
    try:
        yield path
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(path, ignore_errors=True))
