"""Every playbook that is exported is valid by the official schemas of CACAO."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestration.playbooks import cacao
from orchestration.playbooks.document import parse

pytest.importorskip("jsonschema", reason="NOT TESTED: install requirements.txt anew, it has jsonschema now")

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SCHEMAS = Path(__file__).resolve().parents[2] / "data" / "cacao-2.0" / "schemas"
LIBRARY = Path(cacao.__file__).with_name("library")


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    contents = [json.loads(file.read_text(encoding="utf-8")) for file in SCHEMAS.rglob("*.json")]
    registry = Registry().with_resources((one["$id"], Resource.from_contents(one)) for one in contents)
    return Draft202012Validator(json.loads((SCHEMAS / "playbook.json").read_text(encoding="utf-8")), registry=registry)


@pytest.mark.parametrize("file", sorted(LIBRARY.glob("*.yaml")), ids=lambda file: file.stem)
def test_an_exported_playbook_is_valid(schema: Draft202012Validator, file: Path) -> None:
    document = cacao.export(parse(file.read_text(encoding="utf-8"), file.name), datetime(2026, 11, 25, tzinfo=UTC))
    assert [f"{error.json_path}: {error.message}" for error in schema.iter_errors(document)] == []
    workflow = document["workflow"]
    assert {step["agent"] for step in workflow.values() if step["type"] == "action"} == set(
        document["agent_definitions"]
    )


def test_what_the_schema_does_not_know_is_refused(schema: Draft202012Validator) -> None:
    """The check can fail: this is what the export said once."""
    document = cacao.export(parse((LIBRARY / "agent-failure.yaml").read_text(), "x.yaml"), datetime.now(UTC))
    document["agent_definitions"] = {
        "software--2472e765-c670-53b3-a956-400e08891b00": {"type": "software", "name": "x"}
    }
    assert [error.json_path for error in schema.iter_errors(document)] == ["$.agent_definitions"]
