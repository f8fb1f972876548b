"""Usage by the day, and budgets of keys, teams, agents, providers and models."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from orchestration.storage import tables

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_COUNTS = (
    *("requests", "refused", "failed", "unpriced", "prompt_tokens", "completion_tokens", "cached_tokens"),
    *("cache_written_tokens", "thinking_tokens"),
)


def upgrade() -> None:
    op.add_column("tokens", sa.Column("team", sa.String(64), nullable=True))
    op.add_column("spend", sa.Column("team", sa.String(64), nullable=True))
    op.add_column("spend", sa.Column("outcome", sa.String(32), nullable=True))
    for name in ("cached_tokens", "cache_written_tokens", "thinking_tokens"):
        op.add_column("spend", sa.Column(name, sa.Integer(), nullable=True))
    op.create_index("ix_spend_at", "spend", ["at"])
    where = sa.text("outcome IS NULL")
    op.create_index("ix_spend_uncounted", "spend", ["key"], sqlite_where=where, postgresql_where=where)
    _create_tables()


def _create_tables() -> None:
    op.create_table(
        "usage_days",
        sa.Column("day", sa.String(10), primary_key=True),
        *(sa.Column(name, sa.String(64), primary_key=True) for name in ("client", "team", "agent", "provider")),
        sa.Column("model", sa.String(255), primary_key=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.Column("usd", sa.Float(), nullable=False),
    )
    op.create_table(
        "budget_accounts",
        *_account(),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("usd", sa.Float(), nullable=False),
        sa.Column("opened_at", tables.UtcDateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "budget_reservations",
        sa.Column("id", sa.String(64), primary_key=True),
        *_account(),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("usd", sa.Float(), nullable=False),
        sa.Column("expires_at", tables.UtcDateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_budget_reservations_subject", "budget_reservations", ["subject"])
    op.create_table(
        "budget_marks",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("at", tables.UtcDateTime(timezone=True), nullable=False),
    )


def _account() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("subject", sa.String(400), primary_key=True),
        sa.Column("starts_at", tables.UtcDateTime(timezone=True), primary_key=True),
        sa.Column("ends_at", tables.UtcDateTime(timezone=True), primary_key=True),
    )


def downgrade() -> None:
    for name in ("budget_marks", "budget_reservations", "budget_accounts", "usage_days"):
        op.drop_table(name)
    op.drop_index("ix_spend_uncounted", "spend")
    op.drop_index("ix_spend_at", "spend")
    for name in ("thinking_tokens", "cache_written_tokens", "cached_tokens", "outcome", "team"):
        op.drop_column("spend", name)
    op.drop_column("tokens", "team")
