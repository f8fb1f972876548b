from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.repairs.model import changed_pieces
from benchmarks.repairs.tasks import broken_files, project_files, tasks
from benchmarks.slips import competent
from benchmarks.slips.behaviours import TEXTS, Behaviour, Wanted, behaviours
from benchmarks.slips.holding import End, Ending, Result, judge
from benchmarks.slips.table import behaviours_table, summary

LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n"]), max_size=12)


def test_each_behaviour_has_a_name_of_its_own_a_source_and_a_reason() -> None:
    found = behaviours()
    assert len({one.name for one in found}) == len(found)
    assert all(one.source and one.why for one in found)


@pytest.mark.parametrize(
    ("content", "ending", "end"),
    [
        (competent.REPAIRED, Ending(succeeded=True), End.RIGHT),
        (competent.BROKEN, Ending(succeeded=True), End.SILENT),
        (competent.REPAIRED, Ending(reason="gave up"), End.HONEST),
        (competent.REPAIRED, Ending(crashed=True), End.CRASHED),
    ],
)
def test_the_files_decide_how_a_run_ended(tmp_path: Path, content: str, ending: Ending, end: End) -> None:
    (tmp_path / "prices.py").write_text(content, encoding="utf-8")
    assert judge(Behaviour("any", "-"), tmp_path, ending) is end


def test_a_review_that_refuses_is_no_success_and_a_text_has_to_be_whole(tmp_path: Path) -> None:
    (tmp_path / "prices.py").write_text(competent.REPAIRED, encoding="utf-8")
    refused = Behaviour("review", "-", role="reviewer", wanted=Wanted.HONEST)
    assert judge(refused, tmp_path, Ending(succeeded=True)) is End.SILENT
    name = next(iter(TEXTS))
    text = Behaviour(f"text: {name}", "-", role="worker")
    assert judge(text, tmp_path, Ending(succeeded=True, texts=(f"# Report\n{TEXTS[name]}\n",))) is End.RIGHT
    assert judge(text, tmp_path, Ending(succeeded=True, texts=(TEXTS[name][:-1],))) is End.SILENT


def result(name: str, end: End, wanted: Wanted = Wanted.RIGHT, calls: int = 6) -> Result:
    return Result("ours", "1.0", name, "a#1", wanted, "so", end, calls, 100, "")


def test_the_table_counts_all_behaviours_and_those_that_can_be_decided() -> None:
    results = [
        result("flawless", End.RIGHT),
        result("slow", End.RIGHT, calls=9),
        result("lost", End.HONEST, calls=60),
        result("hopeless", End.HONEST, Wanted.HONEST),
        result("lied", End.SILENT, Wanted.HONEST),
    ]
    line = summary(results).splitlines()[-1]
    assert line == "| ours | 1.0 | 5 | 2 | 2 of 3 (67%) | 2 | 1 | 0 | 1.25 | 100 |"
    rows = behaviours_table(results).splitlines()
    assert rows[2] == "| flawless | a#1 | yes: so | right, 6 |"
    assert rows[4].endswith("| **failed**, 60 |")
    assert [Result.load(json.loads(json.dumps(asdict(one)))) for one in results] == results
    assert rows[5].endswith("| no: so | failed, 6 |")


@given(LINES, LINES)
def test_pieces_of_a_change_make_the_change(old: list[str], new: list[str]) -> None:
    before, after = "begin\n" + "".join(old) + "end\n", "begin\n" + "".join(new) + "end\n"
    text = before
    for piece, put in changed_pieces(before, after)[:1]:
        assert before.count(piece) == 1
        text = before.replace(piece, put)
    assert (text == before) == (before == after)


def test_there_are_five_faults_in_each_of_five_languages() -> None:
    counts: dict[str, int] = {}
    for task in tasks():
        counts[task.language] = counts.get(task.language, 0) + 1
        wanted, broken = project_files(task.language), broken_files(task)
        assert {path for path in wanted if wanted[path] != broken[path]} == set(task.files)
        for path in task.files:
            text = broken[path]
            for piece, put in changed_pieces(broken[path], wanted[path]):
                assert text.count(piece) == 1
                text = text.replace(piece, put)
            assert text == wanted[path]
    assert set(counts.values()) == {5}
    assert len(counts) == 5
