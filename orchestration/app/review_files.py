"""Reviews as files, `var/reviews/INCIDENT.md`, kept up to date while the incident goes on.

A file that a person has edited is left alone: its last line holds a digest of what the system wrote. The newer text
then goes into a file beside it.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from orchestration.app.reviews import IncidentReviews
from orchestration.incidents.records import IncidentRecords

REVIEWS = "reviews"
_MARK = re.compile(r"<!--sha256:([0-9a-f]{64})-->\n?\Z")


class ReviewFiles:
    """The files of a project. Blocks."""

    def __init__(self, reviews: IncidentReviews, records: IncidentRecords, folder: Path) -> None:
        self._reviews = reviews
        self._records = records
        self._folder = folder

    def draft(self, incident_id: str) -> Path:
        """Write the review as it is now; returns its path. Raises OSError."""
        text = self._reviews.markdown(self._records.get(incident_id))
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{incident_id}.md"
        if _edited(path):
            path = path.with_suffix(".current.md")
        marked = f"{text}\n<!--sha256:{hashlib.sha256(text.encode()).hexdigest()}-->\n"
        # Whole or not at all: somebody may be reading it, and half a file would look as if it had been edited.
        part = path.with_suffix(".part")
        part.write_text(marked, encoding="utf-8")
        part.replace(path)
        return path


def _edited(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    except UnicodeDecodeError:
        return True
    mark = _MARK.search(text)
    if mark is None:
        return True
    return hashlib.sha256(text[: mark.start() - 1].encode()).hexdigest() != mark[1]
