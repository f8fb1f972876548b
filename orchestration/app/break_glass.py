"""Emergency access: an admin's token for a short time, with a reason, and with everybody on call told of it.

For when nobody can sign in as usual. Whoever may read the console of this machine could do all of it anyway; this way
it ends by itself, and is an incident until somebody has looked at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.app.project import ProjectRecords
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.incidents.commands.declaration import Declare
from orchestration.security.access import AccessControl
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.principal import Role

LONGEST = timedelta(hours=8)
_LEAST_REASON = 10


@dataclass(frozen=True, slots=True)
class EmergencyAccess:
    """The token's secret, which is shown once, its record's id, when it expires, and the incident that tells of it."""

    secret: str
    token: str
    expires_at: datetime
    incident: str


def break_glass(
    here: ProjectRecords, trail: AuditTrail, *, reason: str, until: datetime, actor: str
) -> EmergencyAccess:
    """Create the token and open the incident. Raises UsageError for a reason that says nothing and for a long time."""
    now, said = here.clock.now(), here.redactor.text(" ".join(reason.split()))
    if len(said) < _LEAST_REASON:
        raise UsageError(f"expected a reason that others understand, got '{said}'")
    if not now < until <= now + LONGEST:
        raise UsageError(
            f"expected an end within {LONGEST.total_seconds() / 3600:g} hours, got {until:%Y-%m-%d %H:%M} UTC"
        )
    # The incident first: if nobody can be told, nobody gets in.
    declared = Declare(
        title=f"Emergency access by {actor}",
        impact=f"{said} (until {until:%Y-%m-%d %H:%M} UTC)",
        severity=Severity.P1,
        scenario=Scenario.SECURITY_ALERT,
    )
    incident = here.incident_service.declare(actor, declared)
    access = AccessControl(here.database, here.bus, here.clock)
    secret, token = access.add_token("break-glass", Role.ADMIN, actor=actor, expires_at=until)
    details = {"token": token.id, "reason": said, "until": until.isoformat(), "incident": incident.id}
    trail.write(actor, "broke the glass", "done", details)
    return EmergencyAccess(secret, token.id, until, incident.id)
