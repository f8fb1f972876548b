"""Why a run does not go on, as a value beside the sentence, and the run that a fork began from.

Earlier versions wrote the sentence alone and read their decisions out of it. This is the one place that still knows
those sentences.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_BY_RESPONSE = re.compile(r"(?P<what>paused|stopped) by (?P<incident>inc-[^\s:]+)")
_FORK = re.compile(r"fork of (?P<run>\S+) at ")
_HOLDS = (
    ("no provider", "no-provider"),
    ("waits for approval", "approval"),
    ("its worker was stopped", "worker-stopped"),
    ("it was interrupted", "interrupted"),
    ("nobody reads its output", "interrupted"),
    ("no worker takes it", "interrupted"),
)
# Described here and not imported: `tables` has the columns of the newest version, which may not exist yet at this one.
_runs = sa.table(
    "runs",
    *(sa.column(name, sa.String) for name in ("id", "status", "reason", "origin", "hold", "held_by", "forked_from")),
)


def upgrade() -> None:
    # Nullable, as SQLite demands of a column that is added without a default; most runs are not held anyway.
    op.add_column("runs", sa.Column("hold", sa.String(length=32), nullable=True))
    op.add_column("runs", sa.Column("held_by", sa.String(length=64), nullable=True))
    op.add_column("runs", sa.Column("forked_from", sa.String(length=64), nullable=True))
    connection = op.get_bind()
    held = _runs.c.status.in_(("waiting", "stopped", "cancelled"))
    for row in connection.execute(sa.select(_runs.c.id, _runs.c.status, _runs.c.reason).where(held)).all():
        hold, held_by = hold_of(row.status, row.reason)
        connection.execute(sa.update(_runs).where(_runs.c.id == row.id).values(hold=hold, held_by=held_by))
    forks = sa.select(_runs.c.id, _runs.c.origin).where(_runs.c.origin.like("fork of %"))
    for name, origin in connection.execute(forks).all():
        if match := _FORK.match(origin):
            connection.execute(sa.update(_runs).where(_runs.c.id == name).values(forked_from=match["run"]))


def downgrade() -> None:
    for name in ("forked_from", "held_by", "hold"):
        op.drop_column("runs", name)


def hold_of(status: str, reason: str) -> tuple[str, str | None]:
    """What the sentence of an earlier version meant, and the incident that it named."""
    if match := _BY_RESPONSE.match(reason):
        return f"{match['what']}-by-response", match["incident"]
    if reason == "the fork did not help":
        return "stopped-by-response", None
    if status == "cancelled":
        return "cancelled-by-person", None
    return next((hold for begin, hold in _HOLDS if reason.startswith(begin)), "paused-by-person"), None
