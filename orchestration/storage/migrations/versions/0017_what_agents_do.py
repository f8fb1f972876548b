"""What agents do, since when, and the end of what they hear or print."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from orchestration.storage.tables.base import UtcDateTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def _columns() -> tuple[sa.Column[Any], ...]:
    # Nullable, because processes of the version before this one go on writing heartbeats during an upgrade.
    return (
        sa.Column("phase", sa.String(16), nullable=True),
        sa.Column("about", sa.Text(), nullable=True),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("ahead", sa.Integer(), nullable=True),
        sa.Column("tail", sa.Text(), nullable=True),
        sa.Column("since", UtcDateTime(), nullable=True),
        sa.Column("beat_at", UtcDateTime(), nullable=True),
    )


def upgrade() -> None:
    for column in _columns():
        op.add_column("heartbeats", column)


def downgrade() -> None:
    for column in reversed(_columns()):
        op.drop_column("heartbeats", column.name)
