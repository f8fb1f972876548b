"""Versions of the configuration file, and overrides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import sqlalchemy as sa
from pydantic import ValidationError

from orchestration.config.overrides import Override, OverrideOrigin
from orchestration.config.versions import ConfigVersion
from orchestration.errors import NotFoundError
from orchestration.storage.database import Database, StorageError
from orchestration.storage.tables import config_versions, overrides


class ConfigurationVersions:
    """Every version of the file that was in force."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, text: str, sha256: str, now: datetime) -> ConfigVersion:
        """Store a version, and return it; the newest again if its text is the same."""
        # Only the newest is compared: a file that is changed back is a new version, because it is in force again from
        # now on.
        newest = sa.select(config_versions).order_by(config_versions.c.number.desc()).limit(1)
        # Several processes notice an edit of the file at once; without the lock each would record a version of its own.
        with _reported(), self._database.write(exclusive="config_versions") as connection:
            row = connection.execute(newest).one_or_none()
            if row is not None and row.sha256 == sha256:
                return ConfigVersion(*row)
            insert = sa.insert(config_versions).values(sha256=sha256, text=text, loaded_at=now)
            number = connection.execute(insert.returning(config_versions.c.number)).scalar_one()
        return ConfigVersion(number, sha256, text, now)

    def list(self, limit: int = 50) -> tuple[ConfigVersion, ...]:
        """Versions, newest first."""
        query = sa.select(config_versions).order_by(config_versions.c.number.desc()).limit(limit)
        with _reported(), self._database.read() as connection:
            return tuple(ConfigVersion(*row) for row in connection.execute(query))

    def get(self, number: int) -> ConfigVersion:
        """One version. Raises NotFoundError."""
        query = sa.select(config_versions).where(config_versions.c.number == number)
        with _reported(), self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no configuration version {number}. `orchestrator config history` lists all.")
        return ConfigVersion(*row)


class Overrides:
    """The overrides, for all processes on this database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, override: Override) -> None:
        """Store an override."""
        change, origin = override.change, override.origin
        row = {
            **override.model_dump(include={"id", "reason", "actor", "created_at", "expires_at"}),
            "kind": change.kind,
            "target": change.target,
            "value": change.model_dump(mode="json", exclude={"kind", "target"}, exclude_none=True),
            "incident_id": origin.incident_id if origin else None,
            "action_key": origin.action_key if origin else None,
            "action_part": origin.part if origin else None,
        }
        with _reported(), self._database.write() as connection:
            connection.execute(sa.insert(overrides).values(row))

    def remove(self, override_id: str, now: datetime) -> None:
        """End an override now. Raises NotFoundError if no override with that id is in force."""
        statement = (
            sa.update(overrides)
            .where(overrides.c.id == override_id, overrides.c.removed_at.is_(None), _not_expired(now))
            .values(removed_at=now)
        )
        with _reported(), self._database.write() as connection:
            found = connection.execute(statement).rowcount
        if not found:
            raise NotFoundError(f"No override {override_id} is in force. It may have expired or been removed.")

    def list_active(self, now: datetime) -> tuple[Override, ...]:
        """Overrides that have neither expired nor been removed, oldest first.

        Rows of a kind that this release does not know are left out: a newer release wrote them, and processes of that
        release apply them.
        """
        query = (
            sa.select(overrides)
            .where(overrides.c.removed_at.is_(None), _not_expired(now))
            .order_by(overrides.c.created_at, overrides.c.id)
        )
        with _reported(), self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(override for row in rows if (override := _override(row)) is not None)


def _not_expired(now: datetime) -> sa.ColumnElement[bool]:
    return overrides.c.expires_at.is_(None) | (overrides.c.expires_at > now)


def _override(row: sa.RowMapping) -> Override | None:
    common = {name: row[name] for name in ("id", "reason", "actor", "created_at", "expires_at")}
    change = {**row["value"], "kind": row["kind"], "target": row["target"]}
    origin = None
    if row["incident_id"] is not None:
        origin = OverrideOrigin(
            incident_id=row["incident_id"], action_key=row["action_key"] or "", part=row["action_part"] or ""
        )
    try:
        return Override.model_validate({**common, "change": change, "origin": origin})
    except ValidationError:
        return None


@contextmanager
def _reported() -> Iterator[None]:
    """Turn an error of the database into one that the configuration store handles."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        # The class alone: SQLAlchemy's message quotes the parameters of the statement, here the text of the file.
        raise StorageError(f"the configuration's history is unavailable: {error.__class__.__name__}") from error
