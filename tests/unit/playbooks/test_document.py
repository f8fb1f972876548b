"""A playbook's file is read whole or not at all, and every mistake names its line."""

from __future__ import annotations

import pytest

from orchestration.playbooks.document import PlaybookError, parse
from orchestration.playbooks.model import Mode

GOOD = """\
playbook: sample
title: A sample
scenario: agent-failure
about: For the tests.
identify:
  - step: look
    do: evidence.runs
    why: See.
mitigate:
  - option: again
    says: Begin again
    steps:
      - step: restart
        do: run.restart
        mode: off
verify:
  holds: { look.failed: 0 }
"""


def test_a_good_file_is_read_and_off_stays_a_word() -> None:
    playbook = parse(GOOD, "sample.yaml")
    assert playbook.mitigate[0].steps[0].mode is Mode.OFF
    assert [step.id for _, step in playbook.steps()] == ["look", "restart"]


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("    why: See.", "    whi: See."), 8, "not known"),
        (("title: A sample\n", ""), 1, "missing"),
        (("scenario: agent-failure", "scenario: agents-failure"), 3, "Input should be"),
        (("        mode: off", "        mode: of"), 15, "Input should be"),
        (("        mode: off", "        timeout: -3"), 15, "greater than 0"),
        (("{ look.failed: 0 }", "{ look.failed: { abvoe: 0 } }"), 17, "abvoe"),
        (("    says: Begin again", "    says: Begin again\n    says: Twice"), 12, "stands twice"),
        (("identify:", "identify: ["), 6, "expected YAML"),
        (("playbook: sample", "playbook: A Sample"), 1, "pattern"),
    ],
)
def test_a_mistake_names_its_line(change: tuple[str, str], line: int, words: str) -> None:
    with pytest.raises(PlaybookError) as caught:
        parse(GOOD.replace(*change), "sample.yaml")
    mistake = caught.value.mistakes[0]
    assert (mistake.line, words in mistake.message) == (line, True), str(mistake)
    assert f"sample.yaml:{line}:" in str(caught.value)


BILLION = "\n".join(["a: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))])


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("playbook: sample\nidentify: &all [*all]\n", 2, "at most 50 levels"),
        (BILLION, None, "50,000 values"),
        ("a: " + "[" * 100_000, 1, "expected"),
        ("- " * 5_000, 1, "expected"),
        ("playbook: sample\n? [two, words]\n: value\n", 2, "a word as a key"),
    ],
    ids=("in itself", "a billion", "brackets", "dashes", "a list as a key"),
)
def test_a_text_without_an_end_is_refused_before_it_is_walked_through(text: str, line: int | None, words: str) -> None:
    with pytest.raises(PlaybookError) as caught:
        parse(text, "sample.yaml")
    (mistake,) = caught.value.mistakes
    assert (line in (None, mistake.line), words in mistake.message) == (True, True), str(mistake)


@pytest.mark.parametrize(
    "text", ["", "just text", "- a\n- b\n", "!!python/object/apply:os.system ['true']", "x" * 300_000]
)
def test_what_is_no_playbook_is_refused_with_a_message(text: str) -> None:
    with pytest.raises(PlaybookError):
        parse(text, "sample.yaml")
