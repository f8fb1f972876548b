"""Incidents: the narrow table, their documents, timelines, timers, SLA records and settings."""

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_incidents()
    _create_incident_documents()
    _create_incident_entries()
    _create_incident_timers()
    _create_incident_clocks()
    _create_incident_policies()


def downgrade() -> None:
    for name in ("policies", "clocks", "timers", "entries", "documents"):
        op.drop_table(f"incident_{name}")
    op.drop_table("incidents")


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("reversed_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("scenario", sa.String(length=32), nullable=False),
        sa.Column("severity", sa.String(length=2), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("drill", sa.Boolean(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("assignee", sa.String(length=64), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=128), nullable=False),
        sa.Column("open_actions", sa.Integer(), nullable=False),
        sa.Column("detected_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("seconds_to_detect", sa.Float(), nullable=True),
        sa.Column("seconds_to_acknowledge", sa.Float(), nullable=True),
        sa.Column("seconds_to_automation", sa.Float(), nullable=True),
        sa.Column("seconds_to_resolve", sa.Float(), nullable=True),
        sa.Column("seconds_of_impact", sa.Float(), nullable=True),
        sa.Column("recurred", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )
    _index_incidents()


def _index_incidents() -> None:
    # The measure indexes cover what the lists and figures of incidents count, so that neither reads the table itself.
    op.create_index("ix_incidents_detected_at", "incidents", ["detected_at"], unique=False)
    op.create_index("ix_incidents_is_open_detected_at", "incidents", ["is_open", "detected_at"], unique=False)
    op.create_index("ix_incidents_key_detected_at", "incidents", ["key", "detected_at"], unique=False)
    op.create_index(
        "ix_incidents_measures",
        "incidents",
        [
            "counted",
            "detected_at",
            "severity",
            "scenario",
            "month",
            "seconds_to_detect",
            "seconds_to_acknowledge",
            "seconds_to_automation",
            "seconds_to_resolve",
            "seconds_of_impact",
            "recurred",
        ],
        unique=False,
    )
    op.create_index(
        "ix_incidents_open_actions",
        "incidents",
        ["detected_at"],
        unique=False,
        sqlite_where=sa.text("open_actions > 0"),
        postgresql_where=sa.text("open_actions > 0"),
    )
    op.create_index(
        "ix_incidents_reversed_id",
        "incidents",
        ["reversed_id"],
        unique=False,
        postgresql_ops={"reversed_id": "varchar_pattern_ops"},
    )
    op.create_index("ix_incidents_scenario_detected_at", "incidents", ["scenario", "detected_at"], unique=False)
    op.create_index("ix_incidents_severity_detected_at", "incidents", ["severity", "detected_at"], unique=False)
    op.create_index("ix_incidents_status_detected_at", "incidents", ["status", "detected_at"], unique=False)
    op.create_index(
        "uq_incidents_open_key",
        "incidents",
        ["key"],
        unique=True,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )


def _create_incident_documents() -> None:
    op.create_table(
        "incident_documents",
        sa.Column("incident_id", sa.String(length=64), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_incident_documents")),
    )


def _create_incident_entries() -> None:
    op.create_table(
        "incident_entries",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("incident_id", sa.String(length=64), nullable=False),
        sa.Column("at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("written_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("announced", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_incident_entries")),
    )
    op.create_index(
        "ix_incident_entries_incident_id_sequence", "incident_entries", ["incident_id", "sequence"], unique=False
    )
    op.create_index(
        "ix_incident_entries_unannounced",
        "incident_entries",
        ["written_at"],
        unique=False,
        sqlite_where=sa.text("NOT announced"),
        postgresql_where=sa.text("NOT announced"),
    )


def _create_incident_timers() -> None:
    op.create_table(
        "incident_timers",
        sa.Column("incident_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("due_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("done_at", tables.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("incident_id", "kind", name=op.f("pk_incident_timers")),
    )
    op.create_index(
        "ix_incident_timers_due_at",
        "incident_timers",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )


def _create_incident_clocks() -> None:
    op.create_table(
        "incident_clocks",
        sa.Column("incident_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("severity", sa.String(length=2), nullable=False),
        sa.Column("scenario", sa.String(length=32), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("started_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("response_due_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("response_at", tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("resolution_due_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("resolution_at", tables.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("incident_id", "number", name=op.f("pk_incident_clocks")),
    )
    op.create_index(
        "ix_incident_clocks_measures",
        "incident_clocks",
        [
            "counted",
            "started_at",
            "severity",
            "scenario",
            "month",
            "response_due_at",
            "response_at",
            "resolution_due_at",
            "resolution_at",
        ],
        unique=False,
    )


def _create_incident_policies() -> None:
    op.create_table(
        "incident_policies",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_incident_policies")),
    )
