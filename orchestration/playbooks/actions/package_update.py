"""Updating vulnerable packages, by what the advisories say, with pip in this very environment."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import anyio.to_thread
from packaging.version import Version

from orchestration.playbooks.actions import Action, ActionContext, ActionError, ActionOutcome, Parameters, action
from orchestration.playbooks.model import Mode, Risk
from orchestration.security.vulnerabilities import Vulnerability, audit, installed

_UPDATE_SECONDS = 280.0


class SomePackages(Parameters):
    """Installed packages by name."""

    packages: tuple[str, ...]


@action
class UpdateCommand(Action[SomePackages]):
    """Update vulnerable packages, and only those; never without a person's word."""

    name = "security.update-command"
    summary = "prepare the command that updates vulnerable packages to the first versions that are mended"
    risk = Risk.REVERSIBLE
    undo_summary = "the former versions are installed again"
    finds = ("command", "updated")

    def targets(self, parameters: SomePackages) -> tuple[str, ...]:
        return parameters.packages

    def at_most(self, parameters: SomePackages) -> Mode:
        return Mode.ASK

    async def preview(self, context: ActionContext, parameters: SomePackages) -> str:
        wanted = await anyio.to_thread.run_sync(self._wanted, parameters)
        return f"run `{shlex.join(_install(wanted))}`, then restart the system"

    async def run(self, context: ActionContext, parameters: SomePackages) -> ActionOutcome:
        return await anyio.to_thread.run_sync(self._update, parameters)

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        if not undo["versions"]:
            return "nothing had been installed"
        await anyio.to_thread.run_sync(_carry_out, _install(undo["versions"]))
        return f"installed {_listed(undo['versions'])} again; restart the system"

    def _update(self, parameters: SomePackages) -> ActionOutcome:
        if not self._vulnerable(parameters):
            return ActionOutcome(
                "none of them is vulnerable, so nothing was installed", {"updated": []}, undo={"versions": {}}
            )
        wanted = self._wanted(parameters)
        before = {name: version for name, version in installed().items() if name in wanted}
        command = _install(wanted)
        _carry_out(command)
        findings = {"command": shlex.join(command), "updated": sorted(wanted)}
        summary = f"installed {_listed(wanted)}; restart the system to use it"
        return ActionOutcome(summary, findings, undo={"versions": before})

    def _vulnerable(self, parameters: SomePackages) -> list[Vulnerability]:
        folder = self.services.root / self.services.configuration().monitoring.advisories_directory
        return [one for one in audit(installed(), folder).vulnerabilities if one.package in parameters.packages]

    def _wanted(self, parameters: SomePackages) -> dict[str, str]:
        """The version to go to, for each package. Raises ActionError where there is nothing to go to."""
        wanted: dict[str, str] = {}
        for one in self._vulnerable(parameters):
            if one.fixed:
                wanted[one.package] = max(wanted.get(one.package, one.fixed), one.fixed, key=Version)
        if not wanted:
            names = ", ".join(parameters.packages)
            raise ActionError(f"expected a mended version of {names} in the advisories, found none; replace it")
        return wanted


def _install(versions: Mapping[str, str]) -> list[str]:
    return [sys.executable, "-m", "pip", "install", *(f"{name}=={version}" for name, version in versions.items())]


def _carry_out(command: Sequence[str]) -> None:
    try:
        ended = subprocess.run(  # noqa: S603 (a list of words; the versions were read as versions)
            command, capture_output=True, text=True, timeout=_UPDATE_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ActionError(f"pip could not be run: {error}") from error
    if ended.returncode:
        raise ActionError(f"pip ended with exit code {ended.returncode}: {ended.stderr.strip()[-500:]}")


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
