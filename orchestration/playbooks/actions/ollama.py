"""Starting Ollama on this machine, where it is installed and the configuration lets us."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import psutil

from orchestration.config.schema import ProviderSettings
from orchestration.playbooks.actions import Action, ActionError, Context, Outcome, Parameters, action
from orchestration.playbooks.actions.providers import is_local_ollama
from orchestration.playbooks.model import Mode, Risk

_WAIT_SECONDS = 30.0
_LOOK_SECONDS = 0.25


class NoParameters(Parameters):
    """Takes nothing."""


@action
class StartOllama(Action[Any]):
    """Start `ollama serve`."""

    name = "provider.start-ollama"
    summary = "start `ollama serve` on this machine and see that it answers"
    risk = Risk.REVERSIBLE
    parameters = NoParameters
    finds = ("pid", "provider")

    def targets(self, parameters: NoParameters) -> tuple[str, ...]:
        return tuple(self._local())

    def at_most(self, parameters: NoParameters) -> Mode:
        allowed = all(settings.allow_start for settings in self._local().values())
        return Mode.AUTO if allowed else Mode.ASK

    async def preview(self, context: Context, parameters: NoParameters) -> str:
        return f"start {self._binary()} serve for {', '.join(self._local())}"

    async def run(self, context: Context, parameters: NoParameters) -> Outcome:
        name, settings = next(iter(self._local().items()))
        if (await self.handles.gateway.probe(name)).ok:
            return Outcome("Ollama answers already", {"provider": name}, undo={})
        number = await anyio.to_thread.run_sync(self._start, settings)
        await self._wait_for(name, number)
        return Outcome(
            f"started Ollama (process {number}); it answers",
            {"pid": number, "provider": name},
            undo={"pid": number, "started": psutil.Process(number).create_time()},
        )

    async def undo(self, context: Context, undo: Mapping[str, Any]) -> str:
        if "pid" not in undo:
            return "nothing had been started"
        try:
            process = psutil.Process(undo["pid"])
        except psutil.NoSuchProcess:
            return "it has ended by itself"
        if abs(process.create_time() - undo["started"]) < 1:
            os.killpg(process.pid, signal.SIGTERM)
        return "the Ollama that was started is stopped"

    def _local(self) -> dict[str, ProviderSettings]:
        providers = self.handles.configuration().runtime.providers
        return {name: one for name, one in providers.items() if one.enabled and is_local_ollama(one)}

    def _binary(self) -> str:
        found = shutil.which("ollama")
        if found is None:
            raise ActionError("expected Ollama on this machine, found none; install it, or start it where it is")
        return found

    def _start(self, settings: ProviderSettings) -> int:
        """Start it in a session of its own, so that it outlives us; its output goes beside our log."""
        address = urlsplit(settings.effective_base_url or "")
        variables = {**os.environ, "OLLAMA_HOST": f"{address.hostname}:{address.port or 11434}"}
        self.handles.log_folder.mkdir(parents=True, exist_ok=True)
        with Path(self.handles.log_folder, "ollama.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 (found on the PATH, without a shell)
                [self._binary(), "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=variables,
                start_new_session=True,
            )
        return process.pid

    async def _wait_for(self, name: str, number: int) -> None:
        with anyio.move_on_after(_WAIT_SECONDS):
            while psutil.pid_exists(number) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
                if (await self.handles.gateway.probe(name)).ok:
                    return
                await self.handles.clock.sleep(_LOOK_SECONDS)
            raise ActionError("Ollama ended right after its start; logs/ollama.log says why")
        raise ActionError(f"Ollama did not answer within {_WAIT_SECONDS:g} s of its start; see logs/ollama.log")
