"""Advisories from OSV's export, or from a mirror of it: a folder or an archive of records in the OSV format.

The export of an ecosystem is one archive at a fixed address (https://google.github.io/osv.dev/data/#data-dumps): no
name of a package is told to anybody. The new records replace the old ones only when all have been read.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import anyio
import httpx2

from orchestration.errors import OrchestratorError
from orchestration.outbound import OutboundRule, OutboundTransport, blocked
from orchestration.private_folder import make_private_folder
from orchestration.security.vulnerabilities import is_record, record_name
from orchestration.tls import shared_tls_context

# Of the folder of advisories; records that the user has put beside it stay.
FETCHED = "osv"
_STAMP = ".updated"
# The whole export of PyPI has some tens of thousands of records with a few kilobytes each.
_MOST_BYTES = 500_000_000
_MOST_UNPACKED = 3_000_000_000
_MOST_RECORDS = 500_000
_MOST_OF_RECORD = 5_000_000
_SECONDS = 30.0
_MAX_REDIRECTS = 3
_FEWEST = 0.5


class AdvisoryError(OrchestratorError):
    """The advisories were not updated; those before are still there."""


@dataclass(frozen=True, slots=True)
class AdvisoryUpdate:
    """When advisories were fetched, from where, and how many records there were. `skipped` files were none."""

    at: datetime
    source: str
    records: int
    skipped: int = 0


def last_update(folder: Path) -> AdvisoryUpdate | None:
    """The last update; None if there was none."""
    try:
        found = json.loads((folder / FETCHED / _STAMP).read_bytes())
        return AdvisoryUpdate(
            datetime.fromisoformat(found["at"]), str(found["source"]), int(found["records"]), int(found["skipped"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def update(folder: Path, source: str, now: Callable[[], datetime], *, fewer: bool = False) -> AdvisoryUpdate:
    """Replace what was fetched before by the records of a source: an address, an archive, or a folder.

    Raises AdvisoryError, also if there are less than half as many as before, unless `fewer` are meant.
    """
    if source.startswith(("https://", "http://")):
        make_private_folder(folder)
        archive = folder / ".download.zip"
        try:
            await _download(source, archive)
            return await anyio.to_thread.run_sync(_replace, folder, archive, source, now(), fewer)
        finally:
            archive.unlink(missing_ok=True)
    return await anyio.to_thread.run_sync(_replace, folder, Path(source), source, now(), fewer)


async def _download(url: str, target: Path) -> None:
    transport = OutboundTransport(OutboundRule(), shared_tls_context())
    try:
        async with (
            httpx2.AsyncClient(
                transport=transport, timeout=_SECONDS, trust_env=False,
                follow_redirects=True, max_redirects=_MAX_REDIRECTS,
            ) as client,
            client.stream("GET", url) as response,
        ):  # fmt: skip
            if not response.is_success:
                raise AdvisoryError(f"{url} answered {response.status_code}; name a mirror with --from")
            received = 0
            with target.open("wb") as file:
                async for part in response.aiter_bytes():
                    received += len(part)
                    if received > _MOST_BYTES:
                        raise AdvisoryError(f"{url} has more than {_MOST_BYTES:,} bytes, which is no export of OSV")
                    file.write(part)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        reason = blocked(error) or type(error).__name__
        raise AdvisoryError(f"{url} was not reached ({reason}); name a mirror with --from") from error


def _replace(folder: Path, source: Path, named: str, now: datetime, fewer: bool) -> AdvisoryUpdate:
    made, old = folder / f".{FETCHED}.new", folder / f".{FETCHED}.old"
    before = last_update(folder)
    make_private_folder(folder)
    for left in (made, old):
        shutil.rmtree(left, ignore_errors=True)
    made.mkdir(mode=0o700)
    try:
        records, skipped = _copy(source, made)
        if not records:
            raise AdvisoryError(f"{named} holds no record in the OSV format about PyPI")
        if before and not fewer and records < before.records * _FEWEST:
            raise AdvisoryError(
                f"{named} has {records:,} records, and the last update had {before.records:,}; if that is right, "
                "repeat it with --fewer"
            )
        done = AdvisoryUpdate(now.astimezone(UTC), named, records, skipped)
        stamp = {"at": done.at.isoformat(), "source": named, "records": records, "skipped": skipped}
        (made / _STAMP).write_text(json.dumps(stamp), encoding="utf-8")
        if (folder / FETCHED).exists():
            os.rename(folder / FETCHED, old)  # noqa: PTH104 (a folder in the place of none)
        os.rename(made, folder / FETCHED)  # noqa: PTH104
    except OSError as error:
        raise AdvisoryError(f"the advisories were not written: {error.strerror or error}") from error
    finally:
        for left in (made, old):
            shutil.rmtree(left, ignore_errors=True)
    return done


def _copy(source: Path, target: Path) -> tuple[int, int]:
    """Write every record of a source into a folder; returns how many there were, and how many files were none."""
    records = skipped = 0
    for data in _files(source):
        # The name comes from the record's own id, checked: never from the archive, whose names may lead anywhere.
        if data is None or not is_record(data, "PyPI"):
            skipped += 1
            continue
        (target / f"{record_name(data)}.json").write_bytes(data)
        records += 1
        if records > _MOST_RECORDS:
            raise AdvisoryError(f"{source.name} has more than {_MOST_RECORDS:,} records, which is no export of OSV")
    return records, skipped


def _files(source: Path) -> Iterator[bytes | None]:
    """The content of each file that may be a record; None for one that is too large."""
    if source.is_dir():
        for path in sorted(source.rglob("*.json")):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    yield _bounded(file)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            unpacked = 0
            for one in archive.infolist():
                if not one.filename.endswith(".json"):
                    continue
                with archive.open(one) as file:
                    # What the archive says of its sizes is not believed.
                    data = _bounded(file)
                unpacked += len(data or b"")
                if unpacked > _MOST_UNPACKED:
                    raise AdvisoryError(f"{source.name} unpacks to more than {_MOST_UNPACKED:,} bytes")
                yield data
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise AdvisoryError(f"{source.name} is no archive that can be read: {error}") from error
    except OSError as error:
        raise AdvisoryError(f"{source} cannot be read: {error.strerror or error}") from error


def _bounded(file: IO[bytes]) -> bytes | None:
    data = file.read(_MOST_OF_RECORD + 1)
    return data if len(data) <= _MOST_OF_RECORD else None
