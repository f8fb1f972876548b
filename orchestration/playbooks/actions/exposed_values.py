"""The exposed values of an incident, in memory only: they are read where they legitimately still are.

That is in the exposed files, in quarantine or not; in `.env` and the environment, until a person replaces them there. A
value that is in neither place any more cannot be probed by us: a person has to supply it, or say that it is worthless.
"""

from __future__ import annotations

from orchestration.playbooks.actions.exposure import exposed, quarantined, secrets_in, values_in
from orchestration.playbooks.ports import ActionServices
from orchestration.security.exposed_credentials import ExposedCredential, ExposedValue
from orchestration.security.vendors.registry import secret_kind


def exposed_values(services: ActionServices, incident_id: str) -> tuple[ExposedValue, ...]:
    """Every exposed value that can still be found in a file, each once. Blocks."""
    incident = services.incidents.get(incident_id)
    paths = [one.path for one in exposed(services, incident.blast_radius.runs)]
    paths += quarantined(services, incident_id)
    known = values_in(services, paths)
    values = dict.fromkeys(known, "")
    # The pattern of a `name=value` line also finds the value of a variable: that is one credential, not two.
    others = secrets_in(services, paths)
    values |= {one: kind for one, kind in others.items() if not any(value in one for value in known)}
    return tuple(_described(services, value, kind) for value, kind in sorted(values.items()))


def remembered_values(services: ActionServices, incident_id: str) -> dict[str, list[ExposedValue]]:
    """By subject, the values that are known to have been exposed, where they can still be found: in a file, in `.env`
    or in the environment. A credential whose value is nowhere any more has an empty list. Blocks."""
    known = services.exposed_credentials.of_incident(incident_id)
    found: dict[str, list[ExposedValue]] = {one.subject: [] for one in known}
    credentials = services.store.credentials
    candidates = {one.value for one in exposed_values(services, incident_id)}
    candidates |= {value for one in known for value in credentials.values(one.variable)}
    for value in sorted(candidates):
        for one in services.exposed_credentials.recognise(value):
            if one.incident == incident_id:
                found[one.subject].append(ExposedValue(value, one.variable, one.kind))
    return found


def remember(services: ActionServices, incident_id: str) -> tuple[ExposedCredential, ...]:
    """Note by their fingerprints what is exposed now. Blocks."""
    return services.exposed_credentials.add(incident_id, exposed_values(services, incident_id))


def _described(services: ActionServices, value: str, kind: str) -> ExposedValue:
    credentials = services.store.credentials
    names = (name for name in sorted(credentials.names) if value in credentials.values(name))
    return ExposedValue(value, next(names, ""), secret_kind(value) or kind)
