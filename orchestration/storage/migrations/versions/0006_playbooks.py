"""Playbooks at work: their runs, their actions, and guards that tripped."""

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_playbook_runs()
    _create_action_runs()
    _create_guard_trips()


def downgrade() -> None:
    op.drop_table("guard_trips")
    op.drop_table("action_runs")
    op.drop_table("playbook_runs")


def _create_playbook_runs() -> None:
    op.create_table(
        "playbook_runs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("incident_id", sa.String(length=64), nullable=False),
        sa.Column("playbook", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("hypotheses", sa.JSON(), nullable=False),
        sa.Column("drill", sa.Boolean(), nullable=False),
        sa.Column("started_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", tables.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_playbook_runs")),
    )
    op.create_index(op.f("ix_playbook_runs_incident_id"), "playbook_runs", ["incident_id"])
    op.create_index("ix_playbook_runs_playbook_started_at", "playbook_runs", ["playbook", "started_at"])


def _create_action_runs() -> None:
    op.create_table(
        "action_runs",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("incident_id", sa.String(length=64), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("risk", sa.String(length=16), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("guard", sa.String(length=32), nullable=True),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("undo", sa.JSON(), nullable=True),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("started_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", tables.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_action_runs")),
    )
    op.create_index(op.f("ix_action_runs_run_id"), "action_runs", ["run_id"])
    op.create_index(op.f("ix_action_runs_incident_id"), "action_runs", ["incident_id"])
    op.create_index("ix_action_runs_action_started_at", "action_runs", ["action", "started_at"])


def _create_guard_trips() -> None:
    op.create_table(
        "guard_trips",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("guard", sa.String(length=32), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("incident_id", sa.String(length=64), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("tripped_at", tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("reset_at", tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("reset_by", sa.String(length=128), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guard_trips")),
    )
