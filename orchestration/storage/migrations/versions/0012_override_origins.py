"""Which action of a playbook made an override, and for which incident, as values beside the reason.

Earlier versions wrote both into the reason alone: `inc-1: why [response-inc-1-0/mitigate/-/step/3#part]`. This is the
one place that still reads them there.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_REASON = re.compile(r"(?P<incident>inc-[^\s:]+): .*\[(?P<key>[^\[\]#]+)(?:#(?P<part>[^\[\]]*))?\]", re.DOTALL)
# As long as the identifiers that they repeat: the column of an action's key has 200 characters as well.
_COLUMNS = {"incident_id": 64, "action_key": 200, "action_part": 16}
_overrides = sa.table("overrides", *(sa.column(name, sa.String) for name in ("id", "reason", *_COLUMNS)))


def upgrade() -> None:
    for name, length in _COLUMNS.items():
        op.add_column("overrides", sa.Column(name, sa.String(length=length), nullable=True))
    connection = op.get_bind()
    for row in connection.execute(sa.select(_overrides.c.id, _overrides.c.reason)).all():
        if origin := origin_of(row.reason):
            values = dict(zip(_COLUMNS, origin, strict=True))
            connection.execute(sa.update(_overrides).where(_overrides.c.id == row.id).values(**values))


def downgrade() -> None:
    for name in reversed(_COLUMNS):
        op.drop_column("overrides", name)


def origin_of(reason: str) -> tuple[str, str, str] | None:
    """The incident, the key of the action and the part of it; None for the reason of a person's override."""
    match = _REASON.fullmatch(reason)
    return match and (match["incident"], match["key"], match["part"] or "")
