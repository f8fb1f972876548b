"""Times on the command line: whatever is typed is read or refused, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from orchestration.cli.timespec import MOMENT, ago, ahead

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length"),
    [("30d", timedelta(days=30)), ("12h", timedelta(hours=12)), ("45min", timedelta(minutes=45))],
)
def test_a_span_counts_back_and_forward_from_now(text: str, length: timedelta) -> None:
    assert MOMENT.convert(text, None, None) == text
    assert (ago(text, NOW), ahead(text, NOW)) == (NOW - length, NOW + length)


@pytest.mark.parametrize("text", ["99999d", "99999h", "99999min"])
def test_the_longest_span_is_a_time_in_both_directions(text: str) -> None:
    assert MOMENT.convert(text, None, None) == text
    assert ago(text, NOW) < NOW < ahead(text, NOW)


@pytest.mark.parametrize("text", ["999999d", "-1d", "1w", "", "soon", "2026-02-30"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected 30d, 12h, 45min, or a time such as"):
        MOMENT.convert(text, None, None)
