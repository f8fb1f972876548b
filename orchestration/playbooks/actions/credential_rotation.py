"""Taking exposed credentials out of use: refused here from now on, and revoked at the vendor if possible."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread

from orchestration.config.revocations import FILE as REVOCATIONS_FILE
from orchestration.config.revocations import restore, revoke
from orchestration.playbooks.actions import (
    ActionContext,
    ActionError,
    ActionOutcome,
    Parameters,
    ReversibleAction,
    UndoState,
    action,
)
from orchestration.playbooks.actions.exposed_values import remember, remembered_values
from orchestration.playbooks.actions.vendor_revocation import RevocationReport, instructions, revoke_at_vendors
from orchestration.playbooks.model import Mode, Risk
from orchestration.security.exposed_credentials import ExposedValue


class SomeCredentials(Parameters):
    """Variables of `.env` by name, and exposed secrets that no variable holds, as `security.scope` calls them."""

    variables: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        return (*self.variables, *self.others)


class RotationUndo(UndoState):
    """The digests of the values that are refused; the values themselves are stored nowhere."""

    digests: tuple[str, ...]


@action
class Rotate(ReversibleAction[SomeCredentials, RotationUndo]):
    """Take exposed credentials out of use."""

    name = "security.rotate"
    summary = "refuse the exposed values of credentials, revoke them where a revoker is configured, and probe them"
    risk = Risk.REVERSIBLE
    undo_summary = "the values are accepted again; what was revoked at a vendor stays revoked"
    finds = ("retired", "waiting", "revoked", "replaced", "probed")
    lasting = True

    def targets(self, parameters: SomeCredentials) -> tuple[str, ...]:
        return parameters.subjects

    def at_most(self, parameters: SomeCredentials) -> Mode:
        # Whatever the configuration allows: until new values are in place, everything that uses the old ones stops.
        return Mode.ASK

    async def preview(self, context: ActionContext, parameters: SomeCredentials) -> str:
        known = await anyio.to_thread.run_sync(remember, self.services, context.incident_id)
        kinds = {one.subject: one.kind for one in known}
        lines = [instructions(self.services, name, kinds.get(name, ""), name) for name in parameters.variables]
        lines += [instructions(self.services, "", kinds.get(name, ""), name) for name in parameters.others]
        return (
            f"refuse the exposed values of {', '.join(parameters.subjects)} from now on; {'; '.join(lines)}. Put new "
            "values into .env first, or whatever needs them stops until you do"
        )

    async def run(self, context: ActionContext, parameters: SomeCredentials) -> ActionOutcome:
        exposed = await anyio.to_thread.run_sync(self._exposed, context.incident_id, parameters)
        if not exposed:
            raise ActionError("no exposed value was found; nothing was refused")
        reason = f"{context.incident_id}: exposed [{context.key}]"
        values = {one.value for _, one in exposed}
        digests = await anyio.to_thread.run_sync(revoke, self._file, values, reason)
        self.services.store.refresh()
        # Refused here first: a vendor that does not answer must not keep the value in use.
        report = await revoke_at_vendors(self.services, exposed)
        credentials = self.services.store.credentials
        waiting = [name for name in parameters.variables if credentials.get(name) is None]
        findings = {
            "retired": len(values),
            "waiting": waiting,
            "revoked": list(report.revoked),
            "replaced": report.replaced,
            "probed": {subject: status.value for subject, status in report.probed.items()},
        }
        summary = _summary(len(values), waiting, report)
        undo = RotationUndo(digests=tuple(digests)).as_json()
        return ActionOutcome(summary, findings, {**report.revoked, **report.evidence}, undo)

    async def revert(self, context: ActionContext, state: RotationUndo) -> str:
        await anyio.to_thread.run_sync(restore, self._file, state.digests)
        self.services.store.refresh()
        return self.undo_summary

    @property
    def _file(self) -> Path:
        return self.services.state_folder / REVOCATIONS_FILE

    def _exposed(self, incident_id: str, parameters: SomeCredentials) -> list[tuple[str, ExposedValue]]:
        """The exposed values that are to be taken out of use, by subject. Blocks."""
        remember(self.services, incident_id)
        known = self.services.exposed_credentials.of_incident(incident_id)
        found = remembered_values(self.services, known)
        return [(one.subject, value) for one, value in found.items() if value and one.subject in parameters.subjects]


def _summary(count: int, waiting: Sequence[str], report: RevocationReport) -> str:
    parts = [
        f"{count} exposed values are refused from now on",
        f"new values are missing for {', '.join(waiting)}" if waiting else "new values are in use",
        f"revoked at the vendor: {', '.join(report.revoked)}" if report.revoked else "none was revoked at a vendor",
    ]
    parts += [f"the new value from the vendor is in .env: {', '.join(report.replaced)}"] if report.replaced else []
    failed = [f"{subject}: {why}" for subject, why in report.failed.items()]
    parts += [f"not revoked: {'; '.join(failed)}"] if failed else []
    parts += [f"{subject} is {status.value}" for subject, status in report.probed.items()]
    return "; ".join(parts)
