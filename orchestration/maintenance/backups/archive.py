"""Compressed files on the disk, with checksums."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import zlib
from pathlib import Path
from typing import BinaryIO

from orchestration.maintenance.backups.manifest import BackupError

# In pieces, so that memory does not grow with the database.
_CHUNK = 1_048_576
# Low levels save most of what can be saved; the higher ones take many times as long.
_LEVEL = 3
# Left on the disk while something is unpacked, so that what unpacks to a thousand times its size stops nothing else.
_RESERVE = 50 * 1_048_576


def pack(source: Path, target: Path) -> None:
    """Write the compressed file, and flush it to the disk."""
    with source.open("rb") as plain, target.open("xb") as file:
        # Without a time in the header the same content gives the same bytes
        # (https://docs.python.org/3/library/gzip.html).
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0) as packed:
            while data := plain.read(_CHUNK):
                packed.write(data)
        sync(file)


def unpack(source: Path, target: Path) -> None:
    """Write the decompressed file, and flush it to the disk. Raises BackupError if it is damaged, and if it is larger
    than there is room for."""
    room = shutil.disk_usage(target.parent).free - _RESERVE
    try:
        with gzip.open(source, "rb") as packed, target.open("xb") as file:
            while data := packed.read(_CHUNK):
                room -= len(data)
                if room < 0:
                    raise BackupError(f"there is not enough room in {target.parent} to unpack {source.name}")
                file.write(data)
            sync(file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BackupError(f"{source.name} cannot be unpacked: {error}") from error


def sha256(path: Path) -> str:
    """The checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(file: BinaryIO) -> None:
    """Flush a file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk; see fsync(2): flushing a new file does not flush its name."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
