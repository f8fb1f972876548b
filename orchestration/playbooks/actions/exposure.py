"""Where secrets are exposed: in artifacts and workspaces of runs. Reports places, kinds and names, never values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestration.errors import NotFoundError
from orchestration.playbooks.ports import ActionServices
from orchestration.security.exposed_credentials import ExposedValue, SecretSighting
from orchestration.security.scan import FolderScan
from orchestration.security.value_spellings import MINIMUM_LENGTH
from orchestration.security.vendors.registry import secret_kind
from orchestration.storage.runs import Run
from orchestration.workflows.artifacts import QUARANTINE

# Of each file: a secret in a larger one is still found by the scan, only not matched with a variable.
_MOST_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Exposed:
    """A file that holds secrets. `artifact` is `run/name` where it is one of ours, empty in a workspace;
    `variables` are those whose values it contains."""

    path: Path
    kinds: tuple[str, ...]
    count: int
    artifact: str
    variables: tuple[str, ...]
    written_at: datetime


def exposed(services: ActionServices, run_ids: Sequence[str]) -> tuple[Exposed, ...]:
    """The files of these runs that hold secrets; of all artifacts where no run is named. Blocks."""
    folder = services.artifacts.folder
    runs = list(_runs(services, run_ids))
    roots = [(folder / run.id, 0.0) for run in runs] if run_ids else [(folder, 0.0)]
    # What is older than the run is the user's own, and was not exposed by it.
    roots += [(Path(run.folder), (run.started_at or run.created_at).timestamp()) for run in runs]
    found = [path for root, since in roots for path in _holding(services, root, since)]
    return tuple(_described(services, Path(path), kinds, count) for path, kinds, count in found)


def quarantined(services: ActionServices, incident_id: str) -> list[Path]:
    """The files that an incident's response has moved into quarantine."""
    folder = services.state_folder / QUARANTINE / incident_id
    return [path for path in sorted(folder.glob("*/*")) if path.is_file()]


def sightings(services: ActionServices, path: Path, place: str) -> Iterator[ExposedValue]:
    """The secrets in a file: credentials of ours, and what else looks like one. For comparing only. Blocks."""
    # Not every variable holds a secret: the path of a folder may occur in any file.
    known = services.store.credentials.secrets(services.store.file)
    text = _text(path)
    for match in services.redactor.find(text):
        found, seen = text[match.start : match.end], (SecretSighting(match.kind, place),)
        # The pattern of a `name=value` line also finds the value of a variable: that is one credential, not two.
        ours = [value for value in known if len(value) >= MINIMUM_LENGTH and value in found]
        for value in ours or ([found] if len(found) >= MINIMUM_LENGTH else []):
            yield ExposedValue(value, _variable(services, value), secret_kind(value) or match.kind, seen)


def place_of(services: ActionServices, path: Path) -> str:
    """What the alert about a file calls it."""
    folder = services.artifacts.folder
    return f"artifacts/{path.relative_to(folder)}" if path.is_relative_to(folder) else str(path)


def values_in(services: ActionServices, paths: Iterable[Path]) -> frozenset[str]:
    """The values of credentials that files contain. For comparing only. Blocks."""
    # Not every variable holds a secret: the path of a folder may occur in any file.
    secret = services.store.credentials.secrets(services.store.file)
    texts = [_text(path) for path in paths]
    return frozenset(value for value in secret if len(value) >= MINIMUM_LENGTH and any(value in text for text in texts))


def _credentials_in(services: ActionServices, path: Path) -> tuple[str, ...]:
    credentials, there = services.store.credentials, values_in(services, (path,))
    return tuple(name for name in sorted(credentials.names) if there.intersection(credentials.values(name)))


def _variable(services: ActionServices, value: str) -> str:
    credentials = services.store.credentials
    return next((name for name in sorted(credentials.names) if value in credentials.values(name)), "")


def _runs(services: ActionServices, run_ids: Sequence[str]) -> Iterator[Run]:
    for run_id in run_ids:
        try:
            yield services.runs.get(run_id)
        except NotFoundError:
            continue


def _holding(services: ActionServices, root: Path, since: float) -> Iterator[tuple[str, tuple[str, ...], int]]:
    by_file: dict[str, tuple[list[str], int]] = {}
    for finding in FolderScan(root, services.redactor.find, since=since).find_new():
        kinds, count = by_file.get(finding.place, ([], 0))
        by_file[finding.place] = ([*kinds, finding.kind], count + len(finding.lines))
    for path, (kinds, count) in by_file.items():
        yield path, tuple(kinds), count


def _described(services: ActionServices, path: Path, kinds: tuple[str, ...], count: int) -> Exposed:
    try:
        written_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:  # it is gone since
        written_at = services.clock.now()
    return Exposed(path, kinds, count, _artifact(services, path), _credentials_in(services, path), written_at)


def _artifact(services: ActionServices, path: Path) -> str:
    """The file as an artifact of a run of ours; empty where it is none."""
    folder = services.artifacts.folder
    parts = path.relative_to(folder).parts if path.is_relative_to(folder) else ()
    return "/".join(parts) if len(parts) == 2 and list(_runs(services, parts[:1])) else ""


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[:_MOST_BYTES].decode("utf-8", "replace")
    except OSError:
        return ""
