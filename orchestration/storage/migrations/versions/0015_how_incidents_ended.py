"""How incidents ended, and which SLA records continue an earlier one, so that figures can count them apart.

Of the incidents that ended before, nobody knows on what their resolution rests. All days are marked, to be summed up
anew.
"""

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_SUMS = ("ended_proof", "ended_person", "ended_workaround", "resolution_workaround")
_INCIDENTS = (
    *("counted", "severity", "scenario", "detected_at", "month", "seconds_to_detect", "seconds_to_acknowledge"),
    *("seconds_to_automation", "seconds_to_resolve", "seconds_of_impact", "recurred"),
)
_CLOCKS = (
    *("counted", "severity", "scenario", "started_at", "month", "response_due_at", "response_at"),
    *("resolution_due_at", "resolution_at"),
)


def upgrade() -> None:
    op.add_column("incidents", sa.Column("ended_by", sa.String(length=16)))
    op.execute("UPDATE incidents SET ended_by = 'unknown' WHERE resolved_at IS NOT NULL")
    op.add_column("incident_clocks", sa.Column("ended_by", sa.String(length=16)))
    op.add_column("incident_clocks", sa.Column("continues", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name in _SUMS:
        op.add_column("incident_tallies", sa.Column(name, sa.Integer()))
    incomplete = sa.text("resolution_workaround IS NULL")
    op.create_index(
        "ix_incident_tallies_incomplete",
        "incident_tallies",
        ["span", "begin"],
        sqlite_where=incomplete,
        postgresql_where=incomplete,
    )
    _index((*_INCIDENTS, "ended_by"), (*_CLOCKS, "ended_by", "continues"))
    for table, moment in (("incidents", "detected_at"), ("incident_clocks", "started_at")):
        op.execute(_mark(table, moment))


def downgrade() -> None:
    _index(_INCIDENTS, _CLOCKS)
    op.drop_index("ix_incident_tallies_incomplete", "incident_tallies")
    for name in reversed(_SUMS):
        op.drop_column("incident_tallies", name)
    for name in ("continues", "ended_by"):
        op.drop_column("incident_clocks", name)
    op.drop_column("incidents", "ended_by")


def _index(incidents: tuple[str, ...], clocks: tuple[str, ...]) -> None:
    for table, columns in (("incidents", incidents), ("incident_clocks", clocks)):
        op.drop_index(f"ix_{table}_measures", table)
        op.create_index(f"ix_{table}_measures", table, list(columns))


def _mark(table: str, moment: str) -> sa.Insert:
    # SQLite stores a time as text that begins with the day, in UTC.
    day = sa.func.substr(sa.cast(sa.column(moment), sa.Text()), 1, 10)
    if op.get_bind().dialect.name == "postgresql":
        day = sa.func.to_char(sa.func.timezone("UTC", sa.column(moment)), "YYYY-MM-DD")
    days = sa.select(sa.literal("day"), day, sa.literal(f"0015:{table}")).select_from(sa.table(table)).distinct()
    return sa.insert(tables.incident_tally_marks).from_select(["span", "begin", "token"], days)
