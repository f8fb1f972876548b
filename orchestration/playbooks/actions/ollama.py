"""Starting Ollama on this machine, if it is installed and the configuration allows it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import psutil

from orchestration.config.providers.settings import ProviderSettings
from orchestration.config.textfile import replace_text
from orchestration.playbooks.actions import (
    ActionContext,
    ActionError,
    ActionOutcome,
    NoParameters,
    ReversibleAction,
    UndoState,
    action,
)
from orchestration.playbooks.actions.providers import is_local_ollama, ollama_program
from orchestration.playbooks.model import Mode, Risk

# It answers before any model is loaded, so this is the start of the server alone.
_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.25
# Ollama unloads its model on SIGTERM, which takes a moment.
_GRACE_SECONDS = 3.0


class OllamaProcess(UndoState):
    """The process that was started. Its start time is compared too: process numbers are reused."""

    pid: int
    started: float
    provider: str
    key: str


class OllamaUndo(UndoState):
    """The process to stop; none if Ollama answered already."""

    pid: int | None = None
    started: float = 0.0


@action
class StartOllama(ReversibleAction[NoParameters, OllamaUndo]):
    """Start `ollama serve`."""

    name = "provider.start-ollama"
    summary = "start `ollama serve` on this machine and see that it answers"
    risk = Risk.REVERSIBLE
    undo_summary = "the Ollama that was started is stopped"
    finds = ("pid", "provider")

    def targets(self, parameters: NoParameters) -> tuple[str, ...]:
        return tuple(self._local())

    def at_most(self, parameters: NoParameters) -> Mode:
        # Starting a program on a person's machine needs their word: `allowStart` of the provider, or an approval.
        allowed = all(settings.allow_start for settings in self._local().values())
        return Mode.AUTO if allowed else Mode.ASK

    async def preview(self, context: ActionContext, parameters: NoParameters) -> str:
        return f"start `{self._binary()} serve` for {', '.join(self._local())}"

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        name = await self._down()
        mine = await anyio.to_thread.run_sync(self._started_before, context.key)
        if mine is not None:
            # Started by this step before a crash: it may still be starting up.
            name = mine.provider
        elif name is None:
            return ActionOutcome("Ollama answers already", {"provider": next(iter(self._local()))}, undo={})
        else:
            mine = await anyio.to_thread.run_sync(self._start, name, context.key)
        await self._wait_for(name, mine.pid)
        summary = f"started Ollama (process {mine.pid}); it answers"
        return ActionOutcome(summary, {"pid": mine.pid, "provider": name}, undo=mine.as_json())

    async def revert(self, context: ActionContext, state: OllamaUndo) -> str:
        if state.pid is None:
            return "nothing had been started"
        stopped = await anyio.to_thread.run_sync(_stop, state.pid, state.started)
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
        found = ollama_program()
        if found is None:
            raise ActionError("Ollama is not installed on this machine; install it, or start it on its own machine")
        return found

    def _started_before(self, key: str) -> OllamaProcess | None:
        """The process that the same step has started before a crash, if it still runs."""
        try:
            known = OllamaProcess.model_validate_json(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return known if known.key == key and _is_same(known.pid, known.started) else None

    def _start(self, name: str, key: str) -> OllamaProcess:
        """Start it in a session of its own, so that it outlives this process; its output goes beside our log."""
        address = urlsplit(self._local()[name].effective_base_url or "")
        # `ollama serve` learns its address from the environment only: https://docs.ollama.com/faq
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
        # Without a wait its end would leave a zombie, which `psutil.pid_exists` takes for a live process.
        threading.Thread(target=process.wait, name="ollama-watch", daemon=True).start()
        started = OllamaProcess(pid=process.pid, started=_started_at(process.pid), provider=name, key=key)
        self.services.state_folder.mkdir(parents=True, exist_ok=True)
        replace_text(self._record, started.model_dump_json())
        return started

    async def _wait_for(self, name: str, number: int) -> None:
        with anyio.move_on_after(_WAIT_SECONDS):
            while psutil.pid_exists(number):
                if (await self.services.gateway.probe(name)).ok:
                    return
                await self.services.clock.sleep(_POLL_SECONDS)
            raise ActionError("Ollama ended right after its start; logs/ollama.log says why")
        raise ActionError(f"Ollama did not answer within {_WAIT_SECONDS:g} s of its start; see logs/ollama.log")


def _started_at(number: int) -> float:
    """When a process began; 0 for one that has ended already."""
    try:
        return float(psutil.Process(number).create_time())
    except psutil.NoSuchProcess:
        return 0.0


def _is_same(number: int, started: float) -> bool:
    """Whether a process is still the one that was started then: process numbers are reused."""
    # A second apart is still the same: the time is derived from ticks since boot, which shift with the wall clock.
    return psutil.pid_exists(number) and abs(_started_at(number) - started) < 1


def _stop(number: int, started: float) -> bool:
    """Stop what we started, with its group, by SIGTERM first; False if it has ended by itself."""
    if not _is_same(number, started):
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
