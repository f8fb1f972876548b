"""A project of its own in a temporary folder, worked through the console command in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestration.rehearsal import samples
from tests.support import prefork
from tests.support.patience import until, wait_for_end

ROOT = Path(__file__).parents[2]
_SHIPPED = ROOT / "config" / "agents.config.json"


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Look again and again until the condition gives something true, and return that."""
    return until(condition, seconds, f"waited in vain {what}")


def provider_at(url: str, **more: Any) -> dict[str, Any]:
    """A provider's section for a server that speaks the OpenAI dialect and answers as the rehearsal model."""
    return {"type": "openai", "baseUrl": f"{url}/v1", "defaultModel": "rehearsal-1", "concurrency": 8, **more}


class Command:
    """A console command while it runs. What it prints goes to a file, so that it never waits for a reader."""

    def __init__(self, process: subprocess.Popen[bytes], printed: Path) -> None:
        self.process = process
        self._printed = printed

    @property
    def output(self) -> str:
        return self._printed.read_text(encoding="utf-8")

    def wait(self, seconds: float = 60.0) -> int:
        """The exit code, when the command has ended."""
        return wait_for_end(self.process, seconds)

    def wait_for(self, text: str, seconds: float = 30.0) -> None:
        """Return when the text was printed."""
        wait_until(lambda: text in self.output or self.process.poll() is not None, f"for '{text}'", seconds)
        assert text in self.output, f"expected '{text}', got:\n{self.output}"

    def kill(self) -> None:
        """What `kill -9` does."""
        self.process.send_signal(signal.SIGKILL)
        wait_for_end(self.process, 10)


class ProjectFolder:
    """A project: configuration, `.env`, and a workspace with a copy of the sample."""

    def __init__(self, root: Path, providers: Mapping[str, Any], **runtime: Any) -> None:
        self.root = root
        self.configuration_file = root / "config" / "agents.config.json"
        self.configuration_file.parent.mkdir(parents=True)
        self.sample = samples.copy_to(root / "work")
        self.log = root / "logs" / "orchestrator.log"
        self._commands: list[Command] = []
        names = list(providers)
        settings = json.loads(_SHIPPED.read_text(encoding="utf-8"))
        kept = {"logDirectory", "artifactsDirectory", "stateDirectory", "limits", "rehearsal"}
        settings["runtime"] = {
            **{key: value for key, value in settings["runtime"].items() if key in kept},
            "defaultProvider": names[0] if names else "rehearsal",
            "fallbackProviders": names[1:],
            **providers,
            **runtime,
        }
        settings["models"] = {name: ["rehearsal-1"] for name in providers}
        self.configure(settings)

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration as it stands in the file."""
        settings: dict[str, Any] = json.loads(self.configuration_file.read_text(encoding="utf-8"))
        return settings

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write the configuration, as an editor does: a new file in the place of the old one."""
        new = self.configuration_file.with_suffix(".new")
        new.write_text(json.dumps(settings, indent=2), encoding="utf-8")
        new.rename(self.configuration_file)

    def write_env(self, **variables: str) -> None:
        """Write `.env`."""
        (self.root / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))

    def start(self, *arguments: str) -> Command:
        """Start a console command."""
        printed = self.root / f"printed-{len(self._commands)}.txt"
        with printed.open("wb") as output:
            process = prefork.Program(
                [sys.executable, "-m", "orchestration", *arguments],
                cwd=self.root,
                env={**_environment(), "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._commands.append(Command(process, printed))
        return self._commands[-1]

    def start_run(self, *options: str) -> Command:
        """Start a run on the sample's goal, with its tests as the check at the end."""
        check = ("--check", " ".join(self.sample.test_command))
        return self.start("run", "--workspace", str(self.sample.workspace), *check, *options, self.sample.goal)

    def call(self, *arguments: str, code: int = 0) -> str:
        """Run a console command to its end, which has to have this exit code; returns what it printed."""
        command = self.start(*arguments)
        assert command.wait() == code, command.output
        return command.output

    def call_json(self, *arguments: str) -> Any:
        """Run a console command with `--json` and return what it printed."""
        return json.loads(self.call(*arguments, "--json"))

    def show(self, run: str = "latest") -> Any:
        """The run, with all its events."""
        return self.call_json("runs", "show", run, "--events")

    def close(self) -> None:
        """Kill every command that still runs."""
        for command in self._commands:
            if command.process.poll() is None:
                command.kill()


def _environment() -> dict[str, str]:
    """Ours, without what would reach into the project from outside."""
    foreign = ("ORCHESTRATOR_", "OPENAI_", "AZURE_", "GITHUB_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


@contextmanager
def a_project(root: Path, providers: Mapping[str, Any], **runtime: Any) -> Iterator[ProjectFolder]:
    """A project whose first provider is the default and whose others are the fallbacks; its processes end with it."""
    project = ProjectFolder(root, providers, **runtime)
    try:
        yield project
    finally:
        project.close()
