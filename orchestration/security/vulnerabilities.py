"""Which installed packages are known to be vulnerable, by a local folder of advisories in the OSV format.

The format: OSV schema (ossf.github.io/osv-schema). Records of the ecosystem PyPI are read; versions are compared by
PEP 440. Without advisories nothing is said to be well: an audit that had nothing to compare with has audited nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_STALE_DAYS = 7
_MOST_BYTES = 5_000_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{2,80}")
_BEGINNING = Version("0.dev0")


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """An installed package that an advisory names. `fixed` is the first version without it, empty where none is."""

    package: str
    version: str
    advisory: str
    aliases: tuple[str, ...]
    summary: str
    fixed: str


@dataclass(frozen=True, slots=True)
class VulnerabilityAudit:
    """What came out. `newest` is when the newest advisory was changed; `unreadable` counts files that are no record."""

    vulnerabilities: tuple[Vulnerability, ...]
    packages: int
    advisories: int
    unreadable: int
    newest: datetime | None

    def is_stale(self, now: datetime) -> bool:
        """Whether the advisories are too old to be relied on."""
        return self.newest is not None and (now - self.newest).days > _STALE_DAYS

    def verdict(self, now: datetime) -> str:
        """The result in one sentence, with how much it is worth."""
        if not self.advisories or self.newest is None:
            return (
                "not audited: expected advisories (OSV records, one JSON file each), found none; "
                "fetch them with `orchestrator advisories update`, or put them into the folder that "
                "`monitoring.advisoriesDirectory` names"
            )
        days = max(0, (now - self.newest).days)
        age = f"{self.advisories} advisories, the newest {days} days old"
        count = len(self.vulnerabilities)
        found = f"{count} known vulnerabilities" if count else "no known vulnerability"
        stale = "; they are too old to be relied on, renew them" if self.is_stale(now) else ""
        return f"{found} in {self.packages} packages, by {age}{stale}"


def installed() -> dict[str, str]:
    """The installed distributions and their versions, by their normal name; of several, the one that is imported."""
    found = [(dist.metadata["Name"], dist.version) for dist in metadata.distributions()]
    # In the order of `sys.path`, whose first entry wins.
    return {canonicalize_name(name): version for name, version in reversed(found) if name and version}


def audit(packages: Mapping[str, str], folder: Path) -> VulnerabilityAudit:
    """Compare packages (name: version) with the advisories in a folder and in the folders below it. Blocks."""
    names: dict[str, str] = {canonicalize_name(name): version for name, version in packages.items()}
    found: list[Vulnerability] = []
    read = unreadable = 0
    newest: datetime | None = None
    for path in sorted(folder.rglob("*.json")):
        record = _record(path)
        if record is None:
            unreadable += 1
            continue
        read += 1
        changed = _moment(record.get("modified"))
        newest = changed if newest is None else max(newest, changed or newest)
        # OSV goes on publishing a record that was a mistake or a duplicate, with the time of its withdrawal.
        if not record.get("withdrawn"):
            found += _matches(record, names)
    return VulnerabilityAudit(tuple(dict.fromkeys(found)), len(names), read, unreadable, newest)


def affects(affected: Mapping[str, Any], version: str) -> bool:
    """Whether one `affected` entry of a record covers a version: by its list of versions, or by its ranges."""
    try:
        parsed = Version(version)
    except InvalidVersion:
        return version in _list(affected.get("versions"))
    if any(_same(parsed, listed) for listed in _list(affected.get("versions"))):
        return True
    return any(
        _in_range(parsed, _list(one.get("events")))
        for one in _list(affected.get("ranges"))
        # Ranges of the type GIT name commits, which cannot be compared with an installed version.
        if isinstance(one, dict) and one.get("type") == "ECOSYSTEM"
    )


def _matches(record: Mapping[str, Any], packages: Mapping[str, str]) -> Iterator[Vulnerability]:
    for affected in _list(record.get("affected")):
        # An ecosystem may be followed by a colon and a release, as in `Debian:12`.
        package = affected.get("package") if isinstance(affected, dict) else None
        if not isinstance(package, dict) or str(package.get("ecosystem", "")).partition(":")[0] != "PyPI":
            continue
        name = canonicalize_name(str(package.get("name", "")))
        version = packages.get(name)
        if version is not None and affects(affected, version):
            aliases = tuple(str(alias) for alias in _list(record.get("aliases")))
            summary = str(record.get("summary") or record.get("details") or "").strip().partition("\n")[0][:300]
            yield Vulnerability(name, version, str(record["id"]), aliases, summary, _fixed(affected, version))


def _in_range(version: Version, events: Iterable[Any]) -> bool:
    """The schema's own algorithm: in order of versions, `introduced` opens the range, `fixed` closes it before its
    version and `last_affected` after it."""
    inside = False
    for moment, kind in sorted(_events(events), key=lambda event: (event[0], event[1] != "introduced")):
        if kind == "introduced" and version >= moment:
            inside = True
        elif (kind == "fixed" and version >= moment) or (kind == "last_affected" and version > moment):
            inside = False
    return inside


def _events(events: Iterable[Any]) -> Iterator[tuple[Version, str]]:
    for event in events:
        for kind in ("introduced", "fixed", "last_affected"):
            if isinstance(event, dict) and kind in event:
                try:
                    # The schema uses "0" for a version before all others; PEP 440 sorts pre-releases of version 0
                    # before it.
                    yield (_BEGINNING if event[kind] == "0" else Version(str(event[kind]))), kind
                except InvalidVersion:
                    continue


def _fixed(affected: Mapping[str, Any], version: str) -> str:
    """The first fixed version above the installed one."""
    ranges = [one for one in _list(affected.get("ranges")) if isinstance(one, dict)]
    fixes = [moment for one in ranges for moment, kind in _events(_list(one.get("events"))) if kind == "fixed"]
    try:
        later = [moment for moment in fixes if moment > Version(version)]
    except InvalidVersion:
        return ""
    return str(min(later)) if later else ""


def _same(version: Version, listed: object) -> bool:
    try:
        return version == Version(str(listed))
    except InvalidVersion:
        return False


def is_record(data: bytes, ecosystem: str) -> bool:
    """Whether a file is a record about an ecosystem, with an identifier that may be the name of a file."""
    record = _parsed(data)
    if record is None or not _ID.fullmatch(record["id"]):
        return False
    packages = [one.get("package") for one in _list(record.get("affected")) if isinstance(one, dict)]
    return any(isinstance(one, dict) and one.get("ecosystem") == ecosystem for one in packages)


def record_name(data: bytes) -> str:
    """The identifier of a record."""
    return str(json.loads(data)["id"])


def _record(path: Path) -> dict[str, Any] | None:
    """A record; None for what is none."""
    try:
        return None if path.stat().st_size > _MOST_BYTES else _parsed(path.read_bytes())
    except OSError:
        return None


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("id"), str) and "affected" in record else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
