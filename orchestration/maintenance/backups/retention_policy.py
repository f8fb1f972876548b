"""Which backups are kept: the newest of each of the last days, weeks and months that have one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from datetime import datetime

from orchestration.config.maintenance import BackupSettings
from orchestration.maintenance.backups.manifest import Backup


def kept(backups: Iterable[Backup], settings: BackupSettings) -> frozenset[str]:
    """The identifiers of those that are kept. The newest is always among them.

    Days are counted by those that have a backup, not by the calendar: where none could be made for a month, the old
    ones do not go.
    """
    newest_first = sorted(backups, key=lambda backup: (backup.made_at, backup.id), reverse=True)
    rules: tuple[tuple[int, Callable[[datetime], Hashable]], ...] = (
        (settings.daily, lambda at: at.date()),
        (settings.weekly, lambda at: at.isocalendar()[:2]),
        (settings.monthly, lambda at: (at.year, at.month)),
    )
    found: set[str] = set()
    for count, period in rules:
        first: dict[Hashable, str] = {}
        for backup in newest_first:
            first.setdefault(period(backup.made_at), backup.id)
        found.update(list(first.values())[:count])
    return frozenset(found)
