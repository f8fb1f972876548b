"""Tables of playbooks: their runs on incidents, each action with its outcome, and tripped guards."""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import UtcDateTime, id_column, metadata

playbook_runs = sa.Table(
    "playbook_runs",
    metadata,
    id_column(),
    sa.Column("incident_id", sa.String(64), nullable=False, index=True),
    sa.Column("playbook", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("says", sa.Text, nullable=False, key="summary"),
    sa.Column("hypotheses", sa.JSON, nullable=False),
    sa.Column("helped", sa.String(64)),
    sa.Column("drill", sa.Boolean, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    sa.Index("ix_playbook_runs_playbook_started_at", "playbook", "started_at"),
)

action_runs = sa.Table(
    "action_runs",
    metadata,
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("run_id", sa.String(64), nullable=False, index=True),
    sa.Column("incident_id", sa.String(64), nullable=False, index=True),
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("step", sa.String(64), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("risk", sa.String(16), nullable=False),
    sa.Column("mode", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("guard", sa.String(32)),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("says", sa.Text, nullable=False, key="summary"),
    sa.Column("findings", sa.JSON, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("undo", sa.JSON),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    # With a default in the database, because a process of an earlier release may write rows without it.
    sa.Column("count", sa.Integer, nullable=False, server_default="1"),
    # For the limit on automatic runs of an action per hour.
    sa.Index("ix_action_runs_action_started_at", "action", "started_at"),
)

guard_trips = sa.Table(
    "guard_trips",
    metadata,
    id_column(),
    sa.Column("guard", sa.String(32), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("incident_id", sa.String(64), nullable=False),
    sa.Column("because", sa.Text, nullable=False),
    sa.Column("tripped_at", UtcDateTime, nullable=False),
    sa.Column("reset_at", UtcDateTime),
    sa.Column("reset_by", sa.String(128)),
)
