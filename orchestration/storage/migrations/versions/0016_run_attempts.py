"""How often a run was begun again after it failed or was stopped."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nullable, because processes of the version before this one go on adding runs during an upgrade.
    op.add_column("runs", sa.Column("attempt", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "attempt")
