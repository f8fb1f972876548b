"""Taking exposed credentials out of use: refused here from now on, and revoked at the vendor if possible."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread

from orchestration.config.revocations import FILE as REVOCATIONS_FILE
from orchestration.config.revocations import restore, revoke
from orchestration.errors import OrchestratorError
from orchestration.playbooks.actions import (
    ActionContext,
    ActionError,
    ActionOutcome,
    Parameters,
    ReversibleAction,
    UndoState,
    action,
)
from orchestration.playbooks.actions.exposure import exposed, quarantined, secrets_in, values_in
from orchestration.playbooks.model import Mode, Risk


class SomeCredentials(Parameters):
    """Variables of `.env` by name."""

    variables: tuple[str, ...]


class RotationUndo(UndoState):
    """The digests of the values that are refused; the values themselves are stored nowhere."""

    digests: tuple[str, ...]


@action
class Rotate(ReversibleAction[SomeCredentials, RotationUndo]):
    """Take exposed credentials out of use."""

    name = "security.rotate"
    summary = "refuse the exposed values of credentials, and revoke them where the vendor has a call for that"
    risk = Risk.REVERSIBLE
    undo_summary = "the values are accepted again; what was revoked at a vendor stays revoked"
    finds = ("retired", "waiting", "revoked")

    def targets(self, parameters: SomeCredentials) -> tuple[str, ...]:
        return parameters.variables

    def at_most(self, parameters: SomeCredentials) -> Mode:
        # Whatever the configuration allows: until new values are in place, everything that uses the old ones stops.
        return Mode.ASK

    async def preview(self, context: ActionContext, parameters: SomeCredentials) -> str:
        names = ", ".join(parameters.variables)
        calls = ", ".join(name for name in parameters.variables if name in self.services.revokers)
        revoke = f"revoke {calls} at the vendor" if calls else "revoke nothing at a vendor (do that yourself)"
        return (
            f"refuse the exposed values of {names} from now on, and {revoke}; put the new values into .env first, "
            "or whatever needs them stops until you do"
        )

    async def run(self, context: ActionContext, parameters: SomeCredentials) -> ActionOutcome:
        known = await anyio.to_thread.run_sync(self._exposed_values, context.incident_id, parameters)
        if not known:
            raise ActionError("no exposed value was found; nothing was refused")
        reason = f"{context.incident_id}: exposed [{context.key}]"
        digests = await anyio.to_thread.run_sync(revoke, self._file, known, reason)
        self.services.store.refresh()
        # Refused here first: a vendor that does not answer must not keep the value in use.
        revoked, failures = await self._revoke(parameters.variables)
        credentials = self.services.store.credentials
        waiting = [name for name in parameters.variables if credentials.get(name) is None]
        summary = f"{len(known)} exposed values are refused from now on"
        summary += f"; new values are missing for {', '.join(waiting)}" if waiting else "; new values are in use"
        summary += f"; revoked at the vendor: {', '.join(revoked)}" if revoked else "; none was revoked at a vendor"
        summary += f"; not revoked: {'; '.join(failures)}" if failures else ""
        findings = {"retired": len(known), "waiting": waiting, "revoked": revoked}
        return ActionOutcome(summary, findings, undo=RotationUndo(digests=tuple(digests)).as_json())

    async def revert(self, context: ActionContext, state: RotationUndo) -> str:
        await anyio.to_thread.run_sync(restore, self._file, state.digests)
        self.services.store.refresh()
        return self.undo_summary

    @property
    def _file(self) -> Path:
        return self.services.state_folder / REVOCATIONS_FILE

    async def _revoke(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Call the vendors that have a call for it; returns what was revoked, and what went wrong."""
        revoked, failures = [], []
        for name in names:
            if (revoker := self.services.revokers.get(name)) is None:
                continue
            try:
                await revoker.revoke(name)
                revoked.append(name)
            except OrchestratorError as error:
                failures.append(f"{name}: {error}")
        return revoked, failures

    def _exposed_values(self, incident_id: str, parameters: SomeCredentials) -> frozenset[str]:
        """The secrets in the exposed files, in quarantine or not, except what another variable holds. Blocks."""
        incident = self.services.incidents.get(incident_id)
        paths = [one.path for one in exposed(self.services, incident.blast_radius.runs)]
        paths += quarantined(self.services, incident_id)
        credentials = self.services.store.credentials
        mine = {value for name in parameters.variables for value in credentials.values(name)}
        others = credentials.secrets(self.services.store.file) - mine
        return (values_in(self.services, paths) | secrets_in(self.services, paths)) - others
