"""How urgent a delivery of alerts is: what is worse does not wait behind a storm of lesser alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nullable, because processes of the version before this one go on writing during an upgrade.
    op.add_column("alert_inbox", sa.Column("urgency", sa.Integer(), nullable=True))
    op.create_index("ix_alert_inbox_urgency", "alert_inbox", ["urgency", "sequence"])


def downgrade() -> None:
    op.drop_index("ix_alert_inbox_urgency", "alert_inbox")
    op.drop_column("alert_inbox", "urgency")
