from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.versions import ConfigDifference, diff

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=10,
)


def test_a_changed_a_new_and_a_removed_value_are_told_with_their_paths() -> None:
    before = '{"runtime": {"defaultProvider": "ollama", "ollama": {"concurrency": 4}}}'
    after = '{"runtime": {"defaultProvider": "azure", "ollama": {}, "whenBusy": "wait"}}'
    assert diff(before, after) == (
        ConfigDifference("runtime.defaultProvider", "ollama", "azure"),
        ConfigDifference("runtime.ollama", None, {}),
        ConfigDifference("runtime.ollama.concurrency", 4, None),
        ConfigDifference("runtime.whenBusy", None, "wait"),
    )


def test_an_agent_that_only_moved_did_not_change() -> None:
    planner, executor = {"id": "planner", "tools": ["a"]}, {"id": "executor"}
    before, after = {"agents": [planner, executor]}, {"agents": [executor, {**planner, "tools": ["b"]}]}
    assert diff(json.dumps(before), json.dumps(after)) == (ConfigDifference("agents[planner].tools[0]", "a", "b"),)


@given(JSON)
def test_a_text_does_not_differ_from_itself_however_it_is_laid_out(value: Any) -> None:
    assert diff(json.dumps(value), json.dumps(value, indent=4)) == ()
