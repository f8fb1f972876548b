"""Starting Ollama on this machine, where it is installed and the configuration lets us."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import psutil

from orchestration.config.schema import ProviderSettings
from orchestration.config.textfile import replace_text
from orchestration.playbooks.actions import (
    Action,
    ActionContext,
    ActionError,
    ActionOutcome,
    NoParameters,
    action,
)
from orchestration.playbooks.actions.providers import is_local_ollama
from orchestration.playbooks.model import Mode, Risk

_WAIT_SECONDS = 30.0
_LOOK_SECONDS = 0.25
_GRACE_SECONDS = 3.0


@action
class StartOllama(Action[NoParameters]):
    """Start `ollama serve`."""

    name = "provider.start-ollama"
    summary = "start `ollama serve` on this machine and see that it answers"
    risk = Risk.REVERSIBLE
    undo_summary = "the Ollama that was started is stopped"
    finds = ("pid", "provider")

    def targets(self, parameters: NoParameters) -> tuple[str, ...]:
        return tuple(self._local())

    def at_most(self, parameters: NoParameters) -> Mode:
        allowed = all(settings.allow_start for settings in self._local().values())
        return Mode.AUTO if allowed else Mode.ASK

    async def preview(self, context: ActionContext, parameters: NoParameters) -> str:
        return f"start `{self._binary()} serve` for {', '.join(self._local())}"

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        name = await self._down()
        mine = await anyio.to_thread.run_sync(self._started_before, context.key)
        if mine is not None:
            # Ours from before a crash: it may still be on its way.
            name = str(mine["provider"])
        elif name is None:
            return ActionOutcome("Ollama answers already", {"provider": next(iter(self._local()))}, undo={})
        else:
            mine = await anyio.to_thread.run_sync(self._start, name, context.key)
        await self._wait_for(name, int(mine["pid"]))
        summary = f"started Ollama (process {mine['pid']}); it answers"
        return ActionOutcome(summary, {"pid": mine["pid"], "provider": name}, undo=mine)

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        if "pid" not in undo:
            return "nothing had been started"
        stopped = await anyio.to_thread.run_sync(_stop, int(undo["pid"]), float(undo["started"]))
        self._record.unlink(missing_ok=True)
        return "the Ollama that was started is stopped" if stopped else "it has ended by itself"

    @property
    def _record(self) -> Path:
        return self.services.state_folder / "ollama.json"

    def _local(self) -> dict[str, ProviderSettings]:
        providers = self.services.configuration().runtime.providers
        return {name: one for name, one in providers.items() if one.enabled and is_local_ollama(one)}

    async def _down(self) -> str | None:
        """The first Ollama of this machine that does not answer."""
        for name in self._local():
            if not (await self.services.gateway.probe(name)).ok:
                return name
        return None

    def _binary(self) -> str:
        found = shutil.which("ollama")
        if found is None:
            raise ActionError("expected Ollama on this machine, found none; install it, or start it where it is")
        return found

    def _started_before(self, key: str) -> dict[str, Any] | None:
        """What the same step has started already, where it still runs."""
        try:
            record: dict[str, Any] = json.loads(self._record.read_text(encoding="utf-8"))
            same = record["key"] == key and _is(int(record["pid"]), float(record["started"]))
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return record if same else None

    def _start(self, name: str, key: str) -> dict[str, Any]:
        """Start it in a session of its own, so that it outlives us; its output goes beside our log."""
        address = urlsplit(self._local()[name].effective_base_url or "")
        variables = {**os.environ, "OLLAMA_HOST": f"{address.hostname}:{address.port or 11434}"}
        self.services.log_folder.mkdir(parents=True, exist_ok=True)
        with Path(self.services.log_folder, "ollama.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 (found on the PATH, without a shell)
                [self._binary(), "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=variables,
                start_new_session=True,
            )
        # Somebody has to take notice of its end, or what is left of it would look alive.
        threading.Thread(target=process.wait, name="ollama-watch", daemon=True).start()
        record = {"pid": process.pid, "started": _started_at(process.pid), "provider": name, "key": key}
        self.services.state_folder.mkdir(parents=True, exist_ok=True)
        replace_text(self._record, json.dumps(record))
        return record

    async def _wait_for(self, name: str, number: int) -> None:
        with anyio.move_on_after(_WAIT_SECONDS):
            while psutil.pid_exists(number):
                if (await self.services.gateway.probe(name)).ok:
                    return
                await self.services.clock.sleep(_LOOK_SECONDS)
            raise ActionError("Ollama ended right after its start; logs/ollama.log says why")
        raise ActionError(f"Ollama did not answer within {_WAIT_SECONDS:g} s of its start; see logs/ollama.log")


def _started_at(number: int) -> float:
    """When a process began; 0 for one that has ended already."""
    try:
        return float(psutil.Process(number).create_time())
    except psutil.NoSuchProcess:
        return 0.0


def _is(number: int, started: float) -> bool:
    """Whether a process is still the one that was started then: numbers are given again."""
    return psutil.pid_exists(number) and abs(_started_at(number) - started) < 1


def _stop(number: int, started: float) -> bool:
    """Stop what we started, with its group, politely at first; False when it has ended by itself."""
    if not _is(number, started):
        return False
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(number, sign)
            psutil.Process(number).wait(_GRACE_SECONDS)
        except psutil.TimeoutExpired:
            continue
        except (ProcessLookupError, psutil.NoSuchProcess):
            break
        break
    return True
