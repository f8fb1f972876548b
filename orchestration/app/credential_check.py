"""Probing a credential that a person supplies, when the system has its value no longer."""

from __future__ import annotations

from dataclasses import dataclass

from orchestration.app.live_credentials import EvenRevokedCredentials
from orchestration.app.project import ProjectRecords
from orchestration.errors import UsageError
from orchestration.playbooks.credential_probes import probe_exposed
from orchestration.security.exposed_credentials import FILE, ExposedCredentials, ExposedValue
from orchestration.security.vendors.registry import VendorRegistry, secret_kind
from orchestration.security.vendors.vendor import CredentialStatus


@dataclass(frozen=True, slots=True)
class CredentialCheck:
    """What became of a probe. `incidents` are those in which this very value was exposed, by its fingerprint."""

    status: CredentialStatus
    evidence: str
    variable: str
    incidents: tuple[str, ...]


async def check_credential(here: ProjectRecords, value: str, variable: str) -> CredentialCheck:
    """Probe a value; `variable` is the name that it had, if it is known. Raises UsageError for an empty one."""
    if not value:
        raise UsageError("There is no value to probe. Type it, or pass it on standard input.")
    here.redactor.remember([value])
    known = ExposedCredentials(here.state_folder / FILE).recognise(value)
    variable = variable or next((one.variable for one in known if one.variable), "")
    vendors = VendorRegistry(lambda: here.configuration, EvenRevokedCredentials(here.store), here.clock)
    exposed = ExposedValue(value, variable, secret_kind(value))
    probe = await probe_exposed(exposed, here.configuration, vendors, here.clock.now())
    incidents = tuple(dict.fromkeys(one.incident for one in known))
    return CredentialCheck(probe.status, here.redactor.text(probe.evidence), variable, incidents)
