"""How urgent a message of the outbox is, by which it is sent; and how long a lease was taken for, by which one that a
clock has carried into the future is recognised."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nullable, because processes of the version before this one go on writing during an upgrade.
    op.add_column("outbox", sa.Column("urgency", sa.Integer(), nullable=True))
    op.add_column("leases", sa.Column("seconds", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("leases", "seconds")
    op.drop_column("outbox", "urgency")
