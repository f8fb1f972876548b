"""The option of a playbook that helped, by its id beside the sentence."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nullable: earlier runs do not know it, and a process of an earlier version inserts rows without it.
    op.add_column("playbook_runs", sa.Column("helped", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("playbook_runs", "helped")
