"""Which backups are kept: the newest of each of the last days, weeks and months with a backup. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from datetime import datetime

from orchestration.config.maintenance import BackupSettings
from orchestration.maintenance.backups.manifest import Backup


def kept(backups: Iterable[Backup], settings: BackupSettings) -> frozenset[str]:
    """The ids of the backups to keep. The newest is always one of them.

    Only days with a backup are counted, not days of the calendar: if no backup could be made for a month, the old ones
    are not deleted in the meantime.
    """
    newest_first = sorted(backups, key=lambda backup: (backup.made_at, backup.id), reverse=True)
    rules: tuple[tuple[int, Callable[[datetime], Hashable]], ...] = (
        (settings.daily, lambda at: at.date()),
        # The year of the week and not of the date: the first days of January can belong to the last week of
        # December's year.
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
