"""Find runs of a status, and entries of the audit trail, by their time."""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_runs_status_created_at", "runs", ["status", "created_at"], unique=False)
    op.drop_index("ix_runs_status", table_name="runs")
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_audit_at", table_name="audit")
    op.create_index("ix_runs_status", "runs", ["status"], unique=False)
    op.drop_index("ix_runs_status_created_at", table_name="runs")
