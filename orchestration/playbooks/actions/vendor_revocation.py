"""Having exposed credentials revoked at their vendors, and what a person has to do where no program can."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import anyio.to_thread

from orchestration.config.textfile import UnreadableError
from orchestration.errors import OrchestratorError
from orchestration.playbooks.credential_probes import probe_exposed
from orchestration.playbooks.ports import ActionServices
from orchestration.security.exposed_credentials import ExposedValue
from orchestration.security.vendors.http import VendorError
from orchestration.security.vendors.registry import VendorMatch
from orchestration.security.vendors.vendor import CredentialStatus, Revocation


@dataclass(slots=True)
class RevocationReport:
    """What came of it, by subject: revoked, replaced in `.env`, failed and why, and the answer to a probe after it."""

    revoked: dict[str, str] = field(default_factory=dict)
    replaced: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    probed: dict[str, CredentialStatus] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)


async def revoke_at_vendors(services: ActionServices, exposed: Iterable[tuple[str, ExposedValue]]) -> RevocationReport:
    """Revoke each value whose vendor is configured, then probe every value. Doing it again changes nothing more."""
    report = RevocationReport()
    for subject, value in exposed:
        match = services.vendors.find(value.variable, value.kind)
        if match is not None and match.can_revoke:
            await _revoke(services, subject, value, match, report)
        probe = await probe_exposed(value, services.configuration(), services.vendors, services.clock.now())
        report.probed[subject] = probe.status
        report.evidence[subject] = probe.evidence
    return report


def instructions(services: ActionServices, variable: str, kind: str, subject: str) -> str:
    """What would be done about one credential, or where a person does it."""
    match = services.vendors.find(variable, kind)
    if match is None:
        return f"{subject}: no vendor is known; have it replaced wherever it is used"
    if match.can_revoke:
        return f"{subject}: revoke it at {match.descriptor.title} (revoker {match.revoker})"
    page = match.page
    return f"{subject}: revoke it yourself at {page.url} ({page.steps}; as of {page.read_on:%Y-%m-%d}, {page.source})"


async def _revoke(
    services: ActionServices, subject: str, value: ExposedValue, match: VendorMatch, report: RevocationReport
) -> None:
    try:
        async with services.vendors.connected(match) as vendor:
            revocation = await vendor.revoke(value.value)
    except VendorError as error:
        report.failed[subject] = str(error)
        return
    report.revoked[subject] = revocation.evidence
    if revocation.replacement is not None and value.variable:
        await _replace(services, value.variable, revocation, report)


async def _replace(services: ActionServices, variable: str, revocation: Revocation, report: RevocationReport) -> None:
    """Write a value that the vendor has issued into `.env`, unless a person was faster."""
    services.redactor.remember([str(revocation.replacement)])
    if services.store.credentials.get(variable) is not None:
        return
    try:
        await anyio.to_thread.run_sync(services.store.write_credential, variable, str(revocation.replacement))
    except (OrchestratorError, UnreadableError, OSError) as error:
        report.failed[variable] = f"the new value could not be written into .env ({type(error).__name__}); put it there"
        return
    services.store.refresh()
    report.replaced.append(variable)
