"""Tables of notifications: the outbox, and the evidence of each delivery attempt."""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import UtcDateTime, metadata

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("key", sa.String(160), primary_key=True),
    sa.Column("incident_id", sa.String(64), index=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("contact", sa.String(64), nullable=False),
    sa.Column("channel", sa.String(64), nullable=False),
    sa.Column("address", sa.Text),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("stops_on_acknowledge", sa.Boolean, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("settled_at", UtcDateTime),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("urgency", sa.Integer),
    sa.Column("refusals", sa.Integer),
    sa.Index("ix_outbox_state_due_at", "state", "due_at"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(160), nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
)

message_threads = sa.Table(
    "message_threads",
    metadata,
    sa.Column("incident_id", sa.String(64), primary_key=True),
    sa.Column("channel", sa.String(64), primary_key=True),
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
)
