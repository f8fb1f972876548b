"""Incidents summed up by the day and the month, and indexes that find those of a severity and scenario at once.

The days that have incidents already are only marked: they are summed up by whoever first asks for them.
"""

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SECONDS = (
    "seconds_to_detect",
    "seconds_to_acknowledge",
    "seconds_to_automation",
    "seconds_to_resolve",
    "seconds_of_impact",
    "recurred",
)
_DEADLINES = ("response_due_at", "response_at", "resolution_due_at", "resolution_at")


def upgrade() -> None:
    op.create_table(
        "incident_tallies",
        sa.Column("span", sa.String(length=5), nullable=False),
        sa.Column("begin", sa.String(length=10), nullable=False),
        sa.Column("severity", sa.String(length=2), nullable=False),
        sa.Column("scenario", sa.String(length=32), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("resolved", sa.Integer(), nullable=False),
        sa.Column("recurred", sa.Integer(), nullable=False),
        sa.Column("response_met", sa.Integer(), nullable=False),
        sa.Column("response_breached", sa.Integer(), nullable=False),
        sa.Column("resolution_met", sa.Integer(), nullable=False),
        sa.Column("resolution_breached", sa.Integer(), nullable=False),
        sa.Column("measures", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("span", "begin", "severity", "scenario", name=op.f("pk_incident_tallies")),
    )
    op.create_table(
        "incident_tally_marks",
        sa.Column("span", sa.String(length=5), nullable=False),
        sa.Column("begin", sa.String(length=10), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("span", "begin", "token", name=op.f("pk_incident_tally_marks")),
        sqlite_with_rowid=False,
    )
    _index(["counted", "severity", "scenario", "detected_at"], ["counted", "severity", "scenario", "started_at"])
    running = sa.text("resolution_at IS NULL")
    op.create_index(
        "ix_incident_clocks_running",
        "incident_clocks",
        ["counted", "started_at"],
        sqlite_where=running,
        postgresql_where=running,
    )
    op.create_index("ix_incidents_kinds", "incidents", ["severity", "scenario", "detected_at"])
    op.create_index("ix_incidents_status_kinds", "incidents", ["status", "severity", "scenario", "detected_at"])
    for table, moment in (("incidents", "detected_at"), ("incident_clocks", "started_at")):
        op.execute(_mark(table, moment))


def downgrade() -> None:
    for name in ("ix_incidents_status_kinds", "ix_incidents_kinds"):
        op.drop_index(name, "incidents")
    op.drop_index("ix_incident_clocks_running", "incident_clocks")
    _index(["counted", "detected_at", "severity", "scenario"], ["counted", "started_at", "severity", "scenario"])
    op.drop_table("incident_tally_marks")
    op.drop_table("incident_tallies")


def _index(incidents: list[str], clocks: list[str]) -> None:
    op.drop_index("ix_incidents_measures", "incidents")
    op.create_index("ix_incidents_measures", "incidents", [*incidents, "month", *_SECONDS])
    op.drop_index("ix_incident_clocks_measures", "incident_clocks")
    op.create_index("ix_incident_clocks_measures", "incident_clocks", [*clocks, "month", *_DEADLINES])


def _mark(table: str, moment: str) -> sa.Insert:
    # SQLite stores a time as text that begins with the day, in UTC.
    day = sa.func.substr(sa.cast(sa.column(moment), sa.Text()), 1, 10)
    if op.get_bind().dialect.name == "postgresql":
        day = sa.func.to_char(sa.func.timezone("UTC", sa.column(moment)), "YYYY-MM-DD")
    # The name of the table is token enough: there are no other marks yet, and each table marks a day once.
    days = sa.select(sa.literal("day"), day, sa.literal(table)).select_from(sa.table(table)).distinct()
    return sa.insert(tables.incident_tally_marks).from_select(["span", "begin", "token"], days)
