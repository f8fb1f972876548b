"""What the durable engine has recorded, read from its tables as they lie there."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa


def committed_steps(database: Path | str, run_id: str, name: str = "model") -> int:
    """How many steps of this name a run has committed, its agents' included; `database` is a file or an address."""
    url = f"sqlite:///{database}" if isinstance(database, Path) else database
    table = "operation_outputs" if isinstance(database, Path) else "dbos.operation_outputs"
    query = f"SELECT count(*) FROM {table} WHERE function_name = :name AND workflow_uuid LIKE :run"
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            found = connection.execute(sa.text(query), {"name": name, "run": f"{run_id}%"})
            return int(found.scalar_one())
    finally:
        engine.dispose()
