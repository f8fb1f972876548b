"""Folders that only their owner may enter: state, logs and artifacts hold what others on the machine must not read."""

from __future__ import annotations

from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for its owner alone. One that is there stays as it is.

    Raises OSError where that is not possible.
    """
    # Not `parents=True`, which makes those above with the usual mode.
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)  # says so if it is a file
