"""The folder in which a drill's project lives."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def project_folder(name: str, keep: Path | None) -> Iterator[Path]:
    """A folder for one drill: below `keep`, where it stays, or else a temporary one."""
    if keep is not None:
        folder = keep / name
        folder.mkdir(parents=True)
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix=f"drill-{name}-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary).resolve()
