from __future__ import annotations

from orchestration.cli.render import used
from orchestration.workflows.model import AgentUsage


def test_tokens_from_a_cache_add_up_and_are_stored_and_shown_only_where_there_are_any() -> None:
    some, none = AgentUsage(tokens=50, cached_tokens=40), AgentUsage(tokens=5)
    assert "cached_tokens" not in none.model_dump()
    assert some.plus(none).plus(some).cached_tokens == 80
    assert "55 tokens (40 from a prompt cache)" in used(some.plus(none).model_dump())
    assert "(" not in used(none.model_dump())
