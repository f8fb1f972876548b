"""Tables of runs: runs, artifacts, events, leases, approvals, and what steers them."""

from __future__ import annotations

import sqlalchemy as sa

from orchestration.storage.tables.base import UtcDateTime, id_column, metadata

runs = sa.Table(
    "runs",
    metadata,
    id_column(),
    sa.Column("goal", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("hold", sa.String(32)),
    sa.Column("held_by", sa.String(64)),
    sa.Column("forked_from", sa.String(64)),
    sa.Column("workspace", sa.Text, nullable=False),
    sa.Column("agent", sa.String(64)),
    sa.Column("provider", sa.String(64)),
    sa.Column("priority", sa.String(8), nullable=False, default="normal"),
    sa.Column("origin", sa.String(128), nullable=False, default=""),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("config_version", sa.Integer),
    sa.Column("attempt", sa.Integer),
    sa.Column("outcome", sa.JSON),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("finished_at", UtcDateTime),
    sa.Index("ix_runs_status_created_at", "status", "created_at"),
    sa.Index("ix_runs_created_at", "created_at"),
)

artifacts = sa.Table(
    "artifacts",
    metadata,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("agent", sa.String(64)),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    # SQLite numbers rows by itself only in a column of exactly the type INTEGER: https://sqlite.org/autoinc.html
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(64)),
    sa.Column("agent", sa.String(64)),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Index("ix_events_run_id_sequence", "run_id", "sequence"),
    sa.Index("ix_events_kind_sequence", "kind", "sequence"),
)

heartbeats = sa.Table(
    "heartbeats",
    metadata,
    id_column("agent_run_id"),
    sa.Column("run_id", sa.String(64), nullable=False, index=True),
    sa.Column("agent", sa.String(64), nullable=False),
    sa.Column("activity", sa.Text, nullable=False),
    sa.Column("tokens", sa.Integer, nullable=False, default=0),
    sa.Column("progress_at", UtcDateTime, nullable=False),
    # Nullable, because processes of an earlier version go on writing rows during an upgrade.
    sa.Column("phase", sa.String(16)),
    sa.Column("about", sa.Text),
    sa.Column("prompt_tokens", sa.Integer),
    sa.Column("ahead", sa.Integer),
    sa.Column("tail", sa.Text),
    sa.Column("since", UtcDateTime),
    sa.Column("beat_at", UtcDateTime),
)

leases = sa.Table(
    "leases",
    metadata,
    id_column("name"),
    sa.Column("holder", sa.String(128), nullable=False),
    # Seconds by the database's own clock, with which alone they are compared.
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("seconds", sa.Float),
)

config_versions = sa.Table(
    "config_versions",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("loaded_at", UtcDateTime, nullable=False),
)

overrides = sa.Table(
    "overrides",
    metadata,
    id_column(),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("target", sa.String(128), nullable=False),
    sa.Column("value", sa.JSON, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("removed_at", UtcDateTime),
    sa.Column("incident_id", sa.String(64)),
    sa.Column("action_key", sa.String(200)),
    sa.Column("action_part", sa.String(16)),
)

route_states = sa.Table(
    "route_states",
    metadata,
    sa.Column("provider", sa.String(64), primary_key=True),
    sa.Column("model", sa.String(255), primary_key=True),
    sa.Column("state", sa.JSON, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

spend = sa.Table(
    "spend",
    metadata,
    id_column("key"),
    sa.Column("run_id", sa.String(64), index=True),
    sa.Column("agent", sa.String(64)),
    sa.Column("provider", sa.String(64), nullable=False),
    sa.Column("model", sa.String(255), nullable=False),
    sa.Column("prompt_tokens", sa.Integer, nullable=False),
    sa.Column("completion_tokens", sa.Integer, nullable=False),
    sa.Column("usd", sa.Float),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("team", sa.String(64)),
    # Null in rows of an earlier version, which are not in `usage_days` yet.
    sa.Column("outcome", sa.String(32)),
    sa.Column("cached_tokens", sa.Integer),
    sa.Column("cache_written_tokens", sa.Integer),
    sa.Column("thinking_tokens", sa.Integer),
    sa.Index(
        "ix_spend_uncounted",
        "key",
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    ),
)

model_responses = sa.Table(
    "model_responses",
    metadata,
    id_column(),
    sa.Column("owner", sa.String(128), nullable=False),
    sa.Column("previous_id", sa.String(64)),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("input", sa.JSON, nullable=False),
    sa.Column("messages", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("ix_model_responses_created_at", "created_at"),
)

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("subject", sa.String(64), nullable=False, index=True),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("role", sa.String(32), nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("decision", sa.String(16)),
    sa.Column("decided_by", sa.String(128)),
    sa.Column("reason", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("decided_at", UtcDateTime),
)
