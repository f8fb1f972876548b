"""The environments of frameworks: each has one of its own below the state, since their dependencies conflict with ours
and with each other's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.agents.program import Program
from orchestration.domain.framework import Framework
from orchestration.errors import OrchestratorError, UsageError
from orchestration.private_folder import make_private_folder

_FOLDER = Path(__file__).parent
_ADAPTER = _FOLDER / "adapter.py"
_INSTALL_SECONDS = 1800
_SHOWN_CHARACTERS = 1500


class FrameworkMissingError(UsageError):
    """The framework's environment is not installed."""


@dataclass(frozen=True, slots=True)
class FrameworkState:
    """A framework's environment: the framework's version, empty if it is not installed, and all packages by name.
    `outdated`: another release of ours has installed it."""

    framework: Framework
    folder: Path
    version: str
    packages: Mapping[str, str]
    outdated: bool


class FrameworkEnvironments:
    """Finds and installs the environments of one project."""

    def __init__(self, state_folder: Path, project_root: Path) -> None:
        self._folder = (state_folder / "frameworks").resolve()
        self._project_root = project_root

    def folder(self, framework: Framework) -> Path:
        """Where a framework's environment is, or would be."""
        return self._folder / framework.value

    def state(self, framework: Framework) -> FrameworkState:
        """What is installed."""
        packages = self.packages(framework) if self._stamp(framework).exists() else {}
        version = packages.get(framework.package, "")
        outdated = bool(version) and self._stamp(framework).read_bytes() != requirements(framework).read_bytes()
        return FrameworkState(framework, self.folder(framework), version, packages, outdated)

    def program(self, framework: Framework, entry_point: str) -> Program:
        """The program that runs an object of the framework. Raises FrameworkMissingError."""
        if not self._stamp(framework).exists():
            raise FrameworkMissingError(
                f"The environment of {framework.value} is not installed. "
                f"Install it with `orchestrator agents install {framework.value}`."
            )
        words = (str(self._python(framework)), str(_ADAPTER), framework.value, entry_point)
        return Program(words, kept=(self.folder(framework),), name=entry_point)

    def packages(self, framework: Framework) -> dict[str, str]:
        """The packages in the environment, by name, with their versions; none if it is not installed."""
        sites = self.folder(framework).glob("lib/python*/site-packages/*.dist-info")
        found = (site.name.removesuffix(".dist-info").rpartition("-") for site in sites)
        return {name.replace("_", "-").lower(): version for name, _, version in sorted(found)}

    def install(self, framework: Framework, report: Callable[[str], None]) -> None:
        """Make the environment anew with the pinned packages, whose hashes are checked. Blocks for minutes, and takes
        the network. Raises OrchestratorError."""
        folder = self.folder(framework)
        make_private_folder(self._folder)
        # The old one is of no use while the new one is made, and a half-made one has no stamp.
        self._stamp(framework).unlink(missing_ok=True)
        uv = shutil.which("uv")
        pinned = requirements(framework)
        make, fill = _commands(uv, folder, self._python(framework), pinned)
        report(f"making {folder}")
        _run(make)
        report(f"installing {framework.value} with {'uv' if uv else 'pip'}; this takes some minutes")
        _run(fill)
        self._stamp(framework).write_bytes(pinned.read_bytes())

    def _python(self, framework: Framework) -> Path:
        return self.folder(framework) / "bin" / "python"

    def _stamp(self, framework: Framework) -> Path:
        return self.folder(framework) / "installed.txt"


def requirements(framework: Framework) -> Path:
    """The file with the framework's packages, versions and hashes."""
    return _FOLDER / f"{framework.value}.txt"


def _commands(uv: str | None, folder: Path, python: Path, pinned: Path) -> tuple[list[str], list[str]]:
    if uv is not None:
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, "--seed", str(folder)]
        # Compiled now, as pip does: where a program runs, nothing can be written into its environment.
        options = ["--quiet", "--compile-bytecode", "--require-hashes", "--python", str(python)]
        return make, [uv, "pip", "install", *options, "-r", str(pinned)]
    make = [sys.executable, "-m", "venv", "--clear", str(folder)]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return make, [*pip, "--require-hashes", "-r", str(pinned)]


def _run(command: list[str]) -> None:
    """Run a command of the installation. Raises OrchestratorError with the end of what it said."""
    try:
        ended = subprocess.run(  # noqa: S603 (our own words)
            command, check=False, capture_output=True, text=True, errors="replace", timeout=_INSTALL_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OrchestratorError(f"`{command[0]}` could not install the environment: {error}") from error
    if ended.returncode:
        said = (ended.stderr.strip() or ended.stdout.strip())[-_SHOWN_CHARACTERS:]
        raise OrchestratorError(f"The environment could not be installed (exit code {ended.returncode}): {said}")
