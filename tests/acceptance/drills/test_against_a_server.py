"""A drill whose records are kept by a database server."""

from __future__ import annotations

import json
from pathlib import Path

import sqlalchemy as sa
from click.testing import CliRunner

from orchestration.cli import cli


def test_a_drill_is_held_in_a_scratch_database_that_is_dropped(postgres_url: str, tmp_path: Path) -> None:
    config = tmp_path / "config" / "agents.config.json"
    config.parent.mkdir()
    runtime = {"defaultProvider": "rehearsal", "rehearsal": {"defaultModel": "rehearsal"}}
    config.write_text(json.dumps({"runtime": runtime, "agents": [{"id": "planner"}]}))
    command = ["--config", str(config), "drill", "agent-crashes", "database-stops", "--against", postgres_url, "--json"]
    ended = CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)
    drills = json.loads(ended.stdout)["drills"]
    assert [(drill["drill"], drill["misses"]) for drill in drills] == [("agent-crashes", [])]
    assert "database-stops: left out: it lays hands on a database's file" in ended.stderr
    engine = sa.create_engine(postgres_url)
    with engine.connect() as connection:
        left = connection.execute(sa.text("SELECT datname FROM pg_database WHERE datname LIKE 'drill_%'")).all()
    engine.dispose()
    assert left == []
