"""Whether an exposed value is still accepted: asked at the providers that are configured with it, and at its vendor."""

from __future__ import annotations

from datetime import datetime

from orchestration.config.schema import Configuration
from orchestration.providers.credential_probe import accepts_any_key, probe_key
from orchestration.security.exposed_credentials import ExposedValue
from orchestration.security.vendors.registry import VendorRegistry
from orchestration.security.vendors.vendor import CredentialProbe, CredentialStatus

_NOT_PROBED = "nothing tells which vendor it belongs to; only a person can find out"
_SWITCHED_OFF = "probes are switched off (monitoring.probeCredentials)"


async def probe_exposed(
    exposed: ExposedValue, configuration: Configuration, vendors: VendorRegistry, now: datetime
) -> CredentialProbe:
    """The verdict on a value. It is refused only where everybody who was asked and gave an answer refuses it."""
    if not configuration.monitoring.probe_credentials:
        return CredentialProbe(CredentialStatus.UNKNOWN, _SWITCHED_OFF)
    probes = await _at_providers(exposed, configuration, now)
    # The vendor of a configured key is its provider; asking elsewhere would only expose the key once more.
    if not probes or vendors.is_configured(exposed.variable):
        probes += await _at_vendor(exposed, vendors)
    return _verdict(probes)


async def _at_providers(exposed: ExposedValue, configuration: Configuration, now: datetime) -> list[CredentialProbe]:
    probes = []
    for name, settings in configuration.runtime.providers.items():
        if not exposed.variable or settings.effective_api_key_env != exposed.variable:
            continue
        failure = await probe_key(name, settings, exposed.value, now)
        if failure is None and await accepts_any_key(name, settings, now):
            probes.append(CredentialProbe(CredentialStatus.UNKNOWN, f"{name} accepts any key when it is probed"))
        elif failure is None:
            probes.append(CredentialProbe(CredentialStatus.ACCEPTED, f"{name} accepted it"))
        elif failure.status == 401:
            probes.append(CredentialProbe(CredentialStatus.REFUSED, f"{name} answered 401"))
        else:
            answer = f"{name}: {failure.kind.value.replace('_', ' ')} ({failure.status or 'no answer'})"
            probes.append(CredentialProbe(CredentialStatus.UNKNOWN, answer, failure.retry_after))
    return probes


async def _at_vendor(exposed: ExposedValue, vendors: VendorRegistry) -> list[CredentialProbe]:
    probe = await vendors.probe(exposed.variable, exposed.kind, exposed.value)
    return [] if probe is None else [probe]


def _verdict(probes: list[CredentialProbe]) -> CredentialProbe:
    if not probes:
        return CredentialProbe(CredentialStatus.UNKNOWN, _NOT_PROBED)
    statuses = [probe.status for probe in probes]
    for decisive in (CredentialStatus.ACCEPTED, CredentialStatus.UNKNOWN):
        if decisive in statuses:
            return probes[statuses.index(decisive)]
    return CredentialProbe(CredentialStatus.REFUSED, "; ".join(probe.evidence for probe in probes))
