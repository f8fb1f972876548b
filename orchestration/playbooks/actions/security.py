"""Actions that assess a security alert: what is exposed, who tried to get in, what is vulnerable, what is intact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import anyio.to_thread

from orchestration.domain.refusal import RefusalAssessment
from orchestration.domain.subject_kind import SubjectKind
from orchestration.events import Event
from orchestration.events.agents import ToolCallRefused
from orchestration.events.runs import ArtifactRead
from orchestration.events.security import SecretRedacted, SignInFailed
from orchestration.incidents.model import Incident
from orchestration.playbooks.actions import (
    Action,
    ActionContext,
    ActionError,
    ActionOutcome,
    NoParameters,
    P,
    action,
)
from orchestration.playbooks.actions.database import backups_of, integrity_of
from orchestration.playbooks.actions.exposed_values import remember
from orchestration.playbooks.actions.exposure import Exposed, exposed
from orchestration.security.vulnerabilities import audit, installed

# The events on the timeline that are signs of an attack; and those that show who has read what agents wrote.
SIGNS = (SecretRedacted.kind, SignInFailed.kind, ToolCallRefused.kind)
_READ = (ArtifactRead.kind,)
# An alert fires after the fact: what led to it is searched for so much earlier.
_BEFORE = timedelta(hours=1)
_MOST = 20
# The kinds of timeline entries with which the response began to act.
_ACTED = frozenset({"mitigating", "mitigation-attempted"})


class SecurityAction(Action[P]):
    """What the security actions share."""

    async def incident(self, context: ActionContext) -> Incident:
        """The incident that is assessed."""
        return await anyio.to_thread.run_sync(self.services.incidents.get, context.incident_id)

    async def events(self, kinds: Sequence[str], since: datetime) -> tuple[Event, ...]:
        """The events of some kinds since a moment."""
        return await anyio.to_thread.run_sync(self.services.timeline.list_recent, kinds, since)


@action
class ExposureScopeAction(SecurityAction[NoParameters]):
    """Find the extent of an exposure."""

    name = "security.scope"
    summary = "find what is exposed and where, since when, which credentials are among it, and who has read it"
    proves = frozenset({SubjectKind.SECRETS})
    finds = ("secrets", "places", "artifacts", "variables", "others", "readers", "first", "last", "new")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        incident = await self.incident(context)
        found = await anyio.to_thread.run_sync(exposed, self.services, incident.blast_radius.runs)
        since = incident.detected_at - _BEFORE
        signs = [event for event in await self.events(SIGNS, since) if _concerns(event, incident)]
        reads = [event for event in await self.events(_READ, since) if _concerns(event, incident)]
        acted = await anyio.to_thread.run_sync(self._acted_at, context.incident_id)
        known = await anyio.to_thread.run_sync(remember, self.services, context.incident_id) if found else ()
        moments = [incident.detected_at, *(one.written_at for one in found), *(event.at for event in signs)]
        findings = {
            "secrets": sum(one.count for one in found),
            "places": [_place(self.services.root, one) for one in found],
            "artifacts": [one.artifact for one in found if one.artifact],
            # Not called `credentials`: redaction takes the value of such a key for a secret itself.
            "variables": sorted({name for one in found for name in one.variables}),
            "others": sorted(one.subject for one in known if not one.variable)[:_MOST],
            "readers": sorted({event.actor for event in reads if event.actor}),
            "first": min(moments).isoformat(),
            "last": max(moments).isoformat(),
            "new": len(found) + sum(acted is None or event.at > acted for event in signs),
        }
        return ActionOutcome(_scope_says(findings), findings, {"kinds": {str(one.path): one.kinds for one in found}})

    def _acted_at(self, incident_id: str) -> datetime | None:
        """When the response last acted; signs after that are new."""
        entries = self.services.incidents.entries(incident_id)
        return max((entry.at for entry in entries if entry.kind in _ACTED), default=None)


@action
class AccessCheckAction(SecurityAction[NoParameters]):
    """Find who tried to get in."""

    name = "security.access"
    summary = "count failed sign-ins by source, and what agents were refused"
    finds = ("failed_sign_ins", "sources", "refused_calls", "refused", "attacks")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        incident = await self.incident(context)
        seen = await self.events(SIGNS, incident.detected_at - _BEFORE)
        sign_ins = Counter(one.payload.source or "unknown" for one in seen if isinstance(one.payload, SignInFailed))
        concerning = [event for event in seen if _concerns(event, incident)]
        refused = Counter(
            _refusal(event.agent, event.payload) for event in concerning if isinstance(event.payload, ToolCallRefused)
        )
        attacks = sum(getattr(event.payload, "assessment", None) == RefusalAssessment.ATTACK for event in concerning)
        findings = {
            "failed_sign_ins": sign_ins.total(),
            "sources": [f"{source} ({count})" for source, count in sign_ins.most_common(_MOST)],
            "refused_calls": refused.total(),
            "refused": [f"{what} ({count})" for what, count in refused.most_common(_MOST)],
            "attacks": attacks,
        }
        tries = f"{sign_ins.total()} failed sign-ins from {len(sign_ins)} sources"
        summary = f"{tries}, {refused.total()} calls refused with evidence of intent"
        return ActionOutcome(summary, findings)


@action
class Vulnerabilities(SecurityAction[NoParameters]):
    """Compare the installed packages with the advisories."""

    name = "security.vulnerabilities"
    summary = "compare the installed packages with the folder of advisories, and report how old it is"
    proves = frozenset({SubjectKind.PACKAGES})
    finds = ("vulnerable", "found", "advisories", "stale")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        folder = self.services.root / self.services.configuration().monitoring.advisories_directory
        result = await anyio.to_thread.run_sync(lambda: audit(installed(), folder))
        found = sorted({one.package for one in result.vulnerabilities})
        findings = {
            "vulnerable": len(found),
            "found": found,
            "advisories": result.advisories,
            "stale": not result.advisories or result.is_stale(context.now),
        }
        evidence = {
            one.advisory: f"{one.package} {one.version}: {one.summary}; mended in {one.fixed or 'no version yet'}"
            for one in result.vulnerabilities
        }
        return ActionOutcome(result.verdict(context.now), findings, evidence)


@action
class Integrity(SecurityAction[NoParameters]):
    """Check that nothing was tampered with."""

    name = "security.integrity"
    summary = "check the database, the artifacts' checksums, and the chain of the audit log"
    finds = ("intact", "problems", "audit_checked")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        reachable, problems = await integrity_of(self.services)
        # Fails rather than reporting no problems: an integrity that is not known must not pass for a good one.
        if not reachable:
            raise ActionError("the database does not answer; its integrity is not known")
        incident = await self.incident(context)
        problems += await anyio.to_thread.run_sync(self._changed_artifacts, incident.blast_radius.runs)
        upkeep = self.services.backups
        checked = await upkeep.integrity() if upkeep is not None else {}
        problems += [str(one) for one in checked.get("problems", ()) if str(one) not in problems]
        chain = bool(checked.get("audit_checked"))
        unchecked = "" if chain else "; the chain of the audit log was not checked: nothing here looks after it"
        summary = f"{'not whole: ' + '; '.join(problems) if problems else 'all is whole'}{unchecked}"
        return ActionOutcome(summary, {"intact": not problems, "problems": problems, "audit_checked": chain})

    def _changed_artifacts(self, runs: Sequence[str]) -> list[str]:
        """Artifacts that were changed since they were written. Missing ones may have been cleaned up or quarantined."""
        artifacts = self.services.artifacts
        return [
            f"artifact {run}/{name} was {what}"
            for run in runs
            for name, what in artifacts.verify(run)
            if what == "changed"
        ]


@action
class RestoreTest(SecurityAction[NoParameters]):
    """Check that the newest backup can be restored."""

    name = "security.restore-test"
    summary = "restore the newest backup into a scratch database, and leave the one in use alone"
    finds = ("restored", "seconds", "problems")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        result = await backups_of(self.services).rehearse_restore()
        problems = [str(problem) for problem in result["problems"]]
        if not result["restored"]:
            raise ActionError(f"the newest backup could not be restored: {'; '.join(problems)}")
        seconds = float(result["seconds"])
        findings = {"restored": True, "seconds": seconds, "problems": problems}
        return ActionOutcome(f"the newest backup was restored into a scratch database in {seconds:.1f} s", findings)


def _concerns(event: Event, incident: Incident) -> bool:
    """Whether an event concerns the incident. One that names no runs concerns all of them; a slip concerns none."""
    if isinstance(event.payload, ToolCallRefused) and event.payload.assessment == RefusalAssessment.SLIP:
        return False
    return not incident.blast_radius.runs or event.run_id is None or event.run_id in incident.blast_radius.runs


def _refusal(agent: str | None, refused: ToolCallRefused) -> str:
    return f"{agent or 'an agent'}: {refused.about} {refused.what}".rstrip()


def _place(root: Any, one: Exposed) -> str:
    shown = one.path.relative_to(root) if one.path.is_relative_to(root) else one.path
    return f"{shown} ({', '.join(one.kinds)})"


def _scope_says(findings: dict[str, Any]) -> str:
    places = "; ".join(findings["places"][:3])
    where = f"{findings['secrets']} secrets within reach: {places}" if places else "no secret is within reach now"
    names = f"; credentials among them: {', '.join(findings['variables'])}" if findings["variables"] else ""
    readers = f"; read by {', '.join(findings['readers'])}" if findings["readers"] else ""
    return f"{where}{names}{readers}; seen from {findings['first']} to {findings['last']}"
