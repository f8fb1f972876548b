"""Updating vulnerable packages to the versions that the advisories name, with pip, in the running environment."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence

import anyio.to_thread
from packaging.version import Version

from orchestration.domain.duty import DutyKind, DutyRequest
from orchestration.playbooks.actions import (
    ActionContext,
    ActionError,
    ActionOutcome,
    Parameters,
    ReversibleAction,
    UndoState,
    action,
)
from orchestration.playbooks.model import Mode, Risk
from orchestration.security.vulnerabilities import Vulnerability, audit, installed

# Below the 300 s that the playbook gives the step, so that a hanging pip is reported as such.
_UPDATE_SECONDS = 280.0


class SomePackages(Parameters):
    """Installed packages by name."""

    packages: tuple[str, ...]


class UpdateUndo(UndoState):
    """The versions that were installed before, by package."""

    versions: dict[str, str]


@action
class UpdateCommand(ReversibleAction[SomePackages, UpdateUndo]):
    """Update vulnerable packages, and only those; never without approval."""

    name = "security.update-command"
    summary = "update vulnerable packages, on approval, to the first versions that are mended"
    risk = Risk.REVERSIBLE
    undo_summary = "the former versions are installed again"
    finds = ("command", "updated")

    def targets(self, parameters: SomePackages) -> tuple[str, ...]:
        return parameters.packages

    def at_most(self, parameters: SomePackages) -> Mode:
        # Whatever the configuration allows: an update may break what it is to protect.
        return Mode.ASK

    async def preview(self, context: ActionContext, parameters: SomePackages) -> str:
        wanted = await anyio.to_thread.run_sync(self._wanted, parameters)
        return f"run `{shlex.join(_install(wanted))}`, then restart the system"

    async def run(self, context: ActionContext, parameters: SomePackages) -> ActionOutcome:
        return await anyio.to_thread.run_sync(self._update, parameters)

    async def revert(self, context: ActionContext, state: UpdateUndo) -> str:
        if not state.versions:
            return "nothing had been installed"
        await anyio.to_thread.run_sync(_run, _install(state.versions))
        return f"installed {_listed(state.versions)} again; restart the system"

    def _update(self, parameters: SomePackages) -> ActionOutcome:
        # Also the case of a step that is repeated after a crash, when pip had finished already.
        if not self._vulnerable(parameters):
            return ActionOutcome(
                "none of them is vulnerable, so nothing was installed",
                {"updated": []},
                undo=UpdateUndo(versions={}).as_json(),
            )
        wanted = self._wanted(parameters)
        # Read first: once pip has run, the former versions are recorded nowhere.
        before = {name: version for name, version in installed().items() if name in wanted}
        command = _install(wanted)
        _run(command)
        findings = {"command": shlex.join(command), "updated": sorted(wanted)}
        summary = f"installed {_listed(wanted)}; restart the system to use it"
        duty = DutyRequest(
            DutyKind.RESTART_SYSTEM,
            _listed(wanted),
            f"restart the system, which still runs with the former version of {', '.join(wanted)}",
        )
        return ActionOutcome(summary, findings, undo=UpdateUndo(versions=before).as_json(), duties=(duty,))

    def _vulnerable(self, parameters: SomePackages) -> list[Vulnerability]:
        folder = self.services.root / self.services.configuration().monitoring.advisories_directory
        return [one for one in audit(installed(), folder).vulnerabilities if one.package in parameters.packages]

    def _wanted(self, parameters: SomePackages) -> dict[str, str]:
        """The version to install, for each package. Raises ActionError if the advisories name none."""
        wanted: dict[str, str] = {}
        for one in self._vulnerable(parameters):
            if one.fixed:
                # Compared as versions: as text, 1.9 would be newer than 1.10.
                wanted[one.package] = max(wanted.get(one.package, one.fixed), one.fixed, key=Version)
        if not wanted:
            names = ", ".join(parameters.packages)
            raise ActionError(f"expected a mended version of {names} in the advisories, found none; replace it")
        return wanted


def _install(versions: Mapping[str, str]) -> list[str]:
    # The pip of this interpreter: one from the PATH may belong to another environment.
    return [sys.executable, "-m", "pip", "install", *(f"{name}=={version}" for name, version in versions.items())]


def _run(command: Sequence[str]) -> None:
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
