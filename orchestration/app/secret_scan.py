"""The scan of a folder, and of the history of its git repository, for secrets."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from orchestration.agents.workspace import WorkspaceError, run_git
from orchestration.errors import UsageError
from orchestration.security.permissions import holds_secrets
from orchestration.security.safe_folder import SKIPPED
from orchestration.security.scan import Find
from orchestration.security.secret_baseline import SecretBaseline
from orchestration.security.vendors.vendor import CredentialProbe

# A larger file is no source, configuration or log that anybody reads; it is reported as left out.
_MOST_BYTES = 50_000_000
_BATCH_BYTES = 32_000_000
_BINARY_WITHIN = 8192
# Nothing is fetched, however a repository is configured: a missing object of a partial clone would be, with a program
# that its settings name (https://git-scm.com/docs/partial-clone).
_NO_NETWORK = ("-c", "protocol.allow=never")
_NO_FETCH = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}


@dataclass(frozen=True, slots=True)
class FoundInScan:
    """A secret that a scan has found: its kind and place. The value is only in memory, and is never shown."""

    kind: str
    place: str
    line: int
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReportedSecret:
    """A secret as the report has it. Lines count from 1. `status` is what its vendor says of it, with the `evidence`;
    both are empty where no vendor was to be asked."""

    kind: str
    place: str
    line: int
    status: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class SecretScanReport:
    """What a scan has found that the baseline does not accept, and what it has read."""

    findings: tuple[ReportedSecret, ...]
    accepted: int
    files: int
    objects: int
    skipped: tuple[str, ...]


class SecretScan:
    """Reads texts, and keeps what it finds in them. Files that hold secrets by custom (`.env`, keys) are where secrets
    belong: they are left out of a folder, but read when they are named, and in a history, where they do not belong."""

    def __init__(self, find: Find, show: Callable[[str], str], left_out: Sequence[Path] = ()) -> None:
        self._find = find
        self._show = show
        self._left_out = frozenset(left_out)
        self.found: list[FoundInScan] = []
        self.files = self.objects = 0
        self.skipped: list[str] = []

    def read_folder(self, root: Path) -> None:
        """Scan a file, or all files below a folder. Raises UsageError where there is none. Blocks."""
        if root.is_file():
            self._read_file(root, root.name)
        elif root.is_dir():
            for path in _files(root):
                if path not in self._left_out:
                    self._read_file(path, str(path.relative_to(root)))
        else:
            raise UsageError(f"expected a file or a folder to scan, got '{root}', which does not exist")

    async def read_history(self, folder: Path) -> None:
        """Scan every version of every file that the repository keeps, and its commits' messages. Raises UsageError."""
        try:
            seen: set[tuple[str, str]] = set()
            listed = await _git(("rev-list", "--objects", "--all", "--reflog"), folder)
            names = dict(_named_objects(listed))
            async for identifier, kind, data in _contents(list(names), folder, self._skip):
                self.objects += 1
                name = names[identifier]
                if data is not None and kind in ("blob", "commit", "tag"):
                    place = f"{name} in the history ({identifier[:12]})" if name else f"{kind} {identifier[:12]}"
                    known = len(self.found)
                    self._read_text(data, place)
                    # Every version of a file repeats what the one before it had; the newest comes first.
                    self.found[known:] = [one for one in self.found[known:] if (one.value, name) not in seen]
                    seen.update((one.value, name) for one in self.found[known:])
        except WorkspaceError as error:
            raise UsageError(f"expected a git repository in '{folder}' to scan the history of, got: {error}") from error

    def report(
        self, baseline: SecretBaseline, probes: Mapping[str, CredentialProbe] = MappingProxyType({})
    ) -> SecretScanReport:
        """What was found and the baseline does not accept, each secret once for each place; `probes` are what vendors
        have said of the values."""
        new = [one for one in self.found if not baseline.accepts(one.value)]
        findings = dict.fromkeys(self._reported(one, probes.get(one.value)) for one in new)
        return SecretScanReport(
            tuple(findings), len(self.found) - len(new), self.files, self.objects, tuple(self.skipped)
        )

    def _reported(self, found: FoundInScan, probe: CredentialProbe | None) -> ReportedSecret:
        plain = ReportedSecret(found.kind, found.place, found.line)
        return (
            plain if probe is None else replace(plain, status=probe.status.value, evidence=self._show(probe.evidence))
        )

    def _skip(self, name: str) -> None:
        self.skipped.append(self._show(name))

    def _read_file(self, path: Path, name: str) -> None:
        try:
            if path.stat().st_size > _MOST_BYTES:
                self._skip(name)
                return
            data = path.read_bytes()
        except OSError:
            self._skip(name)
            return
        self.files += 1
        self._read_text(data, name)

    def _read_text(self, data: bytes, name: str) -> None:
        if b"\0" in data[:_BINARY_WITHIN]:
            return
        text = data.decode("utf-8", "replace")
        shown = ""
        for match in self._find(text):
            # A name may hold a secret as well.
            shown = shown or self._show(name)
            line = text.count("\n", 0, match.start) + 1
            self.found.append(FoundInScan(match.kind, shown, line, text[match.start : match.end]))


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            path = Path(folder, name)
            if not holds_secrets(name) and _is_plain(path):
                yield path


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


async def _git(arguments: Sequence[str], folder: Path, given: bytes = b"") -> bytes:
    return await run_git((*_NO_NETWORK, *arguments), folder, given=given, variables=_NO_FETCH)


def _named_objects(listed: bytes) -> Iterator[tuple[str, str]]:
    """The objects of `rev-list --objects`, each with the first path that it had; commits have none."""
    for line in listed.splitlines():
        identifier, _, name = line.partition(b" ")
        yield identifier.decode("ascii"), os.fsdecode(name)


async def _contents(
    identifiers: Sequence[str], folder: Path, skip: Callable[[str], None]
) -> AsyncIterator[tuple[str, str, bytes | None]]:
    """Each object with its kind and content, a bounded amount at a time; without content where it is too large."""
    checked = await _git(("cat-file", "--batch-check"), folder, "\n".join(identifiers).encode())
    for batch in _batches(_sized(checked, skip)):
        for one in _objects(await _git(("cat-file", "--batch"), folder, "\n".join(batch).encode())):
            yield one


def _sized(checked: bytes, skip: Callable[[str], None]) -> Iterator[tuple[str, int]]:
    for line in checked.decode("ascii").splitlines():
        identifier, kind, *size = line.split(" ")
        if kind == "tree":
            continue
        if not size or int(size[0]) > _MOST_BYTES:
            skip(f"object {identifier[:12]}")
        else:
            yield identifier, int(size[0])


def _batches(sized: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    batch: list[str] = []
    total = 0
    for identifier, size in sized:
        if batch and total + size > _BATCH_BYTES:
            yield batch
            batch, total = [], 0
        batch.append(identifier)
        total += size
    if batch:
        yield batch


def _objects(data: bytes) -> Iterator[tuple[str, str, bytes]]:
    """The output of `cat-file --batch`: a line with identifier, kind and size, the content, a line break."""
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        identifier, kind, size = data[at:end].decode("ascii").split(" ")
        begin = end + 1
        at = begin + int(size) + 1
        yield identifier, kind, data[begin : at - 1]
