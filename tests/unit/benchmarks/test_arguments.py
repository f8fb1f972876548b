"""Benchmarks take minutes, so each says what it does, and refuses what it does not know, before it begins."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted(
    path.stem
    for path in Path(__file__).parents[3].joinpath("benchmarks").glob("[a-z]*.py")
    if f"`python -m benchmarks.{path.stem}" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize(("word", "code", "said"), [("--help", 0, "usage: "), ("--nothing", 2, "")])
def test_a_benchmark_says_what_it_does(
    name: str,
    word: str,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [name, word])
    monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    assert ended.value.code == code
    assert capsys.readouterr().out.startswith(said)


def test_they_are_found() -> None:
    assert {"endpoint", "intake", "repositories", "storm"} <= set(BENCHMARKS)
