"""The devices on which users get push messages."""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import UtcDateTime, id_column, metadata

push_subscriptions = sa.Table(
    "push_subscriptions",
    metadata,
    id_column(),
    sa.Column("user", sa.String(128), nullable=False, index=True),
    # A capability: whoever knows it can try to send there.
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("public_key", sa.String(128), nullable=False),
    sa.Column("auth_secret", sa.String(64), nullable=False),
    sa.Column("label", sa.String(128), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)
