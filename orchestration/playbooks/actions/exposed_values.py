"""The exposed values of an incident, in memory only: they are read where they legitimately still are.

That is in the exposed files, in quarantine or not; in `.env` and the environment, until a person replaces them there. A
value that is in neither place any more cannot be probed by us: a person has to supply it, or say that it is worthless.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestration.playbooks.actions.exposure import exposed, place_of, quarantined, sightings
from orchestration.playbooks.ports import ActionServices
from orchestration.security.exposed_credentials import ExposedCredential, ExposedValue


def exposed_values(services: ActionServices, incident_id: str) -> list[ExposedValue]:
    """Every exposed value that can still be found in a file, once for each place. Blocks."""
    incident = services.incidents.get(incident_id)
    files = [(one.path, place_of(services, one.path)) for one in exposed(services, incident.blast_radius.runs)]
    # In quarantine a file is below its run, as it was among the artifacts.
    files += [(path, f"artifacts/{path.parent.name}/{path.name}") for path in quarantined(services, incident_id)]
    return [value for path, place in files for value in sightings(services, path, place)]


def remembered_values(
    services: ActionServices, known: Iterable[ExposedCredential]
) -> dict[ExposedCredential, ExposedValue | None]:
    """Credentials that are known to have been exposed, each with its value where that can still be found: in a file,
    in `.env` or in the environment. Blocks."""
    found: dict[ExposedCredential, ExposedValue | None] = dict.fromkeys(known)
    credentials = services.store.credentials
    candidates = {
        one.value for incident in {one.incident for one in found} for one in exposed_values(services, incident)
    }
    candidates |= {value for one in found for value in credentials.values(one.variable)}
    for value in candidates:
        for one in services.exposed_credentials.recognise(value):
            if one in found:
                found[one] = ExposedValue(value, one.variable, one.kind)
    return found


def remember(services: ActionServices, incident_id: str) -> tuple[ExposedCredential, ...]:
    """Note by their fingerprints what is exposed now. Blocks."""
    return services.exposed_credentials.add(incident_id, exposed_values(services, incident_id))
