"""How many tries of a message certainly did not arrive: any other may have, and the next one says so."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nullable, because processes of the version before this one go on writing during an upgrade.
    op.add_column("outbox", sa.Column("refusals", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("outbox", "refusals")
