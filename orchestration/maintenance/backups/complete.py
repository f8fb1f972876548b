"""A complete archive: everything that a bare machine needs, in one file that only its recipients can read.

The file is a tar archive, encrypted in the age format (https://age-encryption.org/v1), which `age`, `rage` and this
program open. Nothing is written to the disk in plain when it is made. When it is opened, nothing is believed that it
says of itself: names, kinds of entries and sizes are checked, and nothing is in its place before all of it was read.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from orchestration.errors import OrchestratorError, UsageError
from orchestration.maintenance.backups import archive
from orchestration.private_folder import make_private_folder

# Left on the disk while an archive is unpacked, so that a bomb does not stop the machine.
_RESERVE = 200 * 1_048_576
_CHUNK = 1_048_576


class CompleteArchiveError(OrchestratorError):
    """An archive was not written or not opened; the message says why."""


def write(target: Path, content: Mapping[str, Path], recipients: Sequence[str]) -> int:
    """Write the files and folders, by their names in the archive, for these recipients; returns its size in bytes.

    A recipient is a public key: `age1…`, or one of SSH. Raises CompleteArchiveError and UsageError.
    """
    pyrage = _library()
    keys = [_recipient(pyrage, text) for text in recipients]
    if not keys:
        raise UsageError("Name at least one recipient, such as age1…; make one with: orchestrator backups key FILE")
    make_private_folder(target.parent)
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        with _private(unfinished) as file:
            with _produced(lambda stream: _pack(stream, content)) as plain:
                pyrage.encrypt_io(plain, file, keys)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
        archive.sync_folder(target.parent)
    except (OSError, tarfile.TarError, pyrage.EncryptError) as error:
        raise CompleteArchiveError(f"the archive was not written: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return target.stat().st_size


def read(source: Path, folder: Path, identity: str) -> tuple[str, ...]:
    """Unpack an archive into a folder that is empty or does not exist; returns the names at its top.

    `identity` is the text of a private key, of age or of SSH. Raises CompleteArchiveError and UsageError; nothing is
    left in that case.
    """
    pyrage = _library()
    key = _identity(pyrage, identity)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty. Name a folder that is, or that does not exist.")
    scratch = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(scratch, ignore_errors=True)
    make_private_folder(scratch)
    try:
        with source.open("rb") as file, _produced(lambda stream: pyrage.decrypt_io(file, stream, [key])) as plain:
            names = _unpack(plain, scratch)
        with contextlib.suppress(OSError):
            folder.rmdir()
        scratch.replace(folder)
    except (OSError, tarfile.TarError, EOFError, pyrage.DecryptError) as error:
        raise CompleteArchiveError(f"{source.name} was not opened: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return names


def new_identity() -> tuple[str, str]:
    """A new private key of age, and its public one."""
    made = _library().x25519.Identity.generate()
    return str(made), str(made.to_public())


def _library() -> Any:
    try:
        # Not an import statement: it is an extra, and comes without types.
        return importlib.import_module("pyrage")
    except ImportError as error:
        raise UsageError("Encryption needs pyrage: pip install 'agent-orchestration[encryption]'") from error


def _recipient(pyrage: Any, text: str) -> Any:
    kind = pyrage.ssh if text.startswith("ssh-") else pyrage.x25519
    try:
        return kind.Recipient.from_str(text.strip())
    except pyrage.RecipientError as error:
        raise UsageError(f"expected a recipient such as age1… or ssh-ed25519 …, got '{text[:20]}…'") from error


def _identity(pyrage: Any, text: str) -> Any:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        if lines and lines[0].startswith("-----BEGIN"):
            return pyrage.ssh.Identity.from_buffer(text.encode())
        return pyrage.x25519.Identity.from_str(lines[0] if lines else "")
    except pyrage.IdentityError as error:
        # Not what it holds: it may be a private key of another kind.
        raise UsageError("expected a private key such as AGE-SECRET-KEY-1…, got something else") from error


@contextlib.contextmanager
def _produced(produce: Callable[[IO[bytes]], object]) -> Iterator[IO[bytes]]:
    """What a function writes, to be read while it goes on. Its error is raised at the end."""
    reading, writing = os.pipe()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with os.fdopen(writing, "wb") as stream:
                produce(stream)
        except BrokenPipeError:
            pass  # the reader has given up, and says why
        except BaseException as error:  # noqa: BLE001 (raised by the reader)
            errors.append(error)

    thread = threading.Thread(target=work, name="archive")
    with os.fdopen(reading, "rb") as stream:
        thread.start()
        try:
            yield stream
        except (OSError, tarfile.TarError, EOFError):
            stream.close()
            thread.join()
            # An archive that breaks off does so because of what went wrong before.
            if errors:
                raise errors[0] from None
            raise
        finally:
            stream.close()
            thread.join()
    if errors:
        raise errors[0]


def _pack(stream: IO[bytes], content: Mapping[str, Path]) -> None:
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, path in content.items():
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                # A link could lead anywhere by the time that the archive is opened.
                if file.is_symlink() or not file.is_file():
                    continue
                inside = PurePosixPath(name, *file.relative_to(path).parts) if path.is_dir() else PurePosixPath(name)
                _add(tar, file, str(inside))


def _add(tar: tarfile.TarFile, file: Path, name: str) -> None:
    """Add a file as it is now: one that grows while it is read must not break the archive."""
    with contextlib.suppress(FileNotFoundError), file.open("rb") as opened:
        about = os.fstat(opened.fileno())
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = about.st_size, int(about.st_mtime), 0o600
        tar.addfile(entry, opened)


def _unpack(stream: IO[bytes], folder: Path) -> tuple[str, ...]:
    names: dict[str, None] = {}
    room = shutil.disk_usage(folder).free - _RESERVE
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for entry in tar:
            parts = PurePosixPath(entry.name).parts
            if not entry.isreg() or not parts or ".." in parts or entry.name.startswith("/") or "\\" in entry.name:
                raise CompleteArchiveError(f"the archive holds an entry that is not ours: {entry.name[:80]!r}")
            room -= entry.size
            if room < 0:
                raise CompleteArchiveError("there is not enough room for what the archive holds")
            _extract(tar, entry, folder.joinpath(*parts))
            names[parts[0]] = None
    return tuple(names)


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(entry)
    if source is None:
        raise CompleteArchiveError(f"the archive holds an entry that cannot be read: {entry.name[:80]!r}")
    make_private_folder(target.parent)
    with _private(target) as file:
        shutil.copyfileobj(source, file, _CHUNK)


@contextlib.contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    """A new file that only its owner can read, from its first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        yield file
