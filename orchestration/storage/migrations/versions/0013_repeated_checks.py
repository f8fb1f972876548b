"""How often a check of a playbook's verification was made with the same answer."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("action_runs", sa.Column("count", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_column("action_runs", "count")
