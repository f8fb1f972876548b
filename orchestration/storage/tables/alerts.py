"""Tables of alerts: deliveries, alerts, what was reported of each group, silences, and heartbeat monitors."""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import UtcDateTime, id_column, metadata

alerts = sa.Table(
    "alerts",
    metadata,
    id_column(),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("scenario", sa.String(32), nullable=False),
    sa.Column("group_key", sa.String(255), nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("state", sa.JSON, nullable=False),
    sa.Column("verdict", sa.String(32), nullable=False),
    sa.Column("muted_by", sa.String(64), nullable=False),
    sa.Column("drill", sa.Boolean, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("starts_at", UtcDateTime),
    sa.Column("ends_at", UtcDateTime),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    # For the start, which loads what has not ended, and for deleting what ended long ago.
    sa.Index("ix_alerts_status_updated_at", "status", "updated_at"),
    sa.Index("ix_alerts_fingerprint", "fingerprint"),
    sa.Index("ix_alerts_since", "since"),
)

alert_groups = sa.Table(
    "alert_groups",
    metadata,
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("reported", sa.JSON, nullable=False),
    sa.Column("reported_at", UtcDateTime, nullable=False),
)

alert_inbox = sa.Table(
    "alert_inbox",
    metadata,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("notices", sa.JSON, nullable=False),
    # The number of the worst severity that fires in it. Read from the index: a row may hold megabytes before it.
    sa.Column("urgency", sa.Integer),
    sa.Index("ix_alert_inbox_urgency", "urgency", "sequence"),
)

silences = sa.Table(
    "silences",
    metadata,
    id_column(),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("matchers", sa.JSON, nullable=False),
    sa.Column("starts_at", UtcDateTime, nullable=False),
    sa.Column("ends_at", UtcDateTime, nullable=False, index=True),
    sa.Column("author", sa.String(128), nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

heartbeat_monitors = sa.Table(
    "heartbeat_monitors",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("configured_at", UtcDateTime, nullable=False),
    sa.Column("heard_at", UtcDateTime),
    sa.Column("started_at", UtcDateTime),
    sa.Column("failed_at", UtcDateTime),
    sa.Column("exit_code", sa.Integer),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("unheard_seconds", sa.Float, nullable=False),
    sa.Column("gap_until", UtcDateTime),
    sa.Column("down_since", UtcDateTime),
    sa.Column("reported_at", UtcDateTime),
)

# One row: up to when a server has listened for heartbeats.
heartbeat_listening = sa.Table(
    "heartbeat_listening",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("until", UtcDateTime, nullable=False),
)
