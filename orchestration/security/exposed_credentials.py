"""Which credentials were exposed, by incident. A value is recognised by its HMAC; none is stored.

The key of the HMAC is this installation's own, so that a digest says nothing to those who compare it with digests from
elsewhere. Only the owner may read the file.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestration.config.textfile import UnreadableError, read_text, replace_text
from orchestration.private_folder import make_private_folder

FILE = "exposed-credentials.json"
_KEY_BYTES = 32
# So many characters of a digest tell the credentials of one incident apart.
_SHORT = 8
# The newest are kept: by then the incidents of the others are long over.
_MOST = 5_000


@dataclass(frozen=True, slots=True)
class SecretSighting:
    """Where a secret was found: the kind and the place under which its alert was raised."""

    kind: str
    place: str

    @property
    def subject(self) -> str:
        """The subject of the duty that the alert has opened."""
        return f"{self.kind} in {self.place}"


@dataclass(frozen=True, slots=True)
class ExposedValue:
    """A value that was exposed, while it is in memory: the variable that holds it, the kind of credential that its form
    tells, and where it was found."""

    value: str = field(repr=False)
    variable: str = ""
    kind: str = ""
    sightings: tuple[SecretSighting, ...] = ()


@dataclass(frozen=True, slots=True)
class ExposedCredential:
    """A credential that was exposed, without its value. `subject` is what people call it: its variable, or its kind
    and the beginning of its digest."""

    incident: str
    digest: str
    variable: str
    kind: str
    sightings: tuple[SecretSighting, ...] = ()

    @property
    def subject(self) -> str:
        return self.variable or f"{self.kind or 'secret'} {self.digest[:_SHORT]}"


class ExposedCredentials:
    """The file. One that is missing or damaged counts as empty: it must not keep a response from going on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def add(self, incident: str, values: Iterable[ExposedValue]) -> tuple[ExposedCredential, ...]:
        """Remember that these were exposed; returns them as they are known, each value once. Blocks."""
        with self._lock:
            key, known = self._load()
            key = key or secrets.token_hex(_KEY_BYTES)
            by_digest = {one.digest: one for one in known if one.incident == incident}
            found: dict[str, ExposedCredential] = {}
            for value in values:
                digest = _digest(key, value.value)
                # What was known first stays: the variable may hold another value by now.
                fresh = ExposedCredential(incident, digest, value.variable, value.kind)
                one = found.get(digest) or by_digest.get(digest, fresh)
                found[digest] = replace(one, sightings=tuple(dict.fromkeys((*one.sightings, *value.sightings))))
            others = [one for one in known if one.incident != incident or one.digest not in found]
            entries = [*others, *found.values()]
            if entries != known:
                self._save(key, entries[-_MOST:])
            return tuple(found.values())

    def of_incident(self, incident: str) -> tuple[ExposedCredential, ...]:
        """What was exposed in an incident. Blocks."""
        _, known = self._load()
        return tuple(one for one in known if one.incident == incident)

    def about(self, subject: str, incident: str) -> tuple[ExposedCredential, ...]:
        """What was found where a duty says: in its incident, or else in one that was merged into that. Blocks."""
        _, known = self._load()
        found = [one for one in known if any(sighting.subject == subject for sighting in one.sightings)]
        own = tuple(one for one in found if one.incident == incident)
        return own or tuple(found)

    def recognise(self, value: str) -> tuple[ExposedCredential, ...]:
        """The exposures of a value, one for each incident. Blocks."""
        key, known = self._load()
        digest = _digest(key, value) if key else ""
        return tuple(one for one in known if one.digest == digest)

    def _load(self) -> tuple[str, list[ExposedCredential]]:
        try:
            data = json.loads(read_text(self._path)) if self._path.exists() else {}
            if not data:
                return "", []
            bytes.fromhex(data["key"])
            return data["key"], [_entry(one) for one in data["exposed"]]
        except (UnreadableError, ValueError, LookupError, TypeError, AttributeError):
            return "", []

    def _save(self, key: str, entries: list[ExposedCredential]) -> None:
        make_private_folder(self._path.parent)
        self._path.touch(mode=0o600)  # before it has content; `replace_text` keeps the mode
        replace_text(self._path, json.dumps({"key": key, "exposed": [asdict(one) for one in entries]}) + "\n")


def _digest(key: str, value: str) -> str:
    return hmac.new(bytes.fromhex(key), value.encode(), "sha256").hexdigest()


def _entry(data: dict[str, Any]) -> ExposedCredential:
    sightings = tuple(SecretSighting(str(one["kind"]), str(one["place"])) for one in data["sightings"])
    incident, digest, variable, kind = (str(data[name]) for name in ("incident", "digest", "variable", "kind"))
    return ExposedCredential(incident, digest, variable, kind, sightings)
