from __future__ import annotations

import pytest

from orchestration.agents.tools.replacement import ReplacementError, replace

CODE = """def first(x):
    if x:
        return 1
    return 2


def second(x):
    if x:
        return 3
    return 4
"""


@pytest.mark.parametrize(
    ("old", "new", "expected", "overlooked"),
    [
        ("        return 3\n", "        return 5\n", "        return 5\n", ""),
        # As read_file shows them, with numbers.
        (
            "     8\t    if x:\n     9\t        return 3",
            "     8\t    if x:\n     9\t        return 5",
            "return 5",
            "numbers",
        ),
        ("8 |     if x:\n9 |         return 3", "8 |     if x:\n9 |         return 5", "        return 5\n", "numbers"),
        # No indentation at all, other indentation, and a block put one level deeper in the model's own width.
        ("if x:\nreturn 3", "if x:\nreturn 5", "        return 5\n", "indentation"),
        ("  if x:\n    return 3", "  if not x:\n    return 5", "    if not x:\n        return 5\n", "indentation"),
        (
            "  if x:\n    return 3",
            "  if x:\n    if y:\n      return 3",
            "    if x:\n        if y:\n            return 3\n",
            "indentation",
        ),
        ("def second(x):   \n    if x:", "def second(z):\n    if z:", "def second(z):\n    if z:\n", "ends of lines"),
        ("return   4", "return 44", "    return 44\n", "white space"),
        ("    return 2\n\ndef second(x):", "    return 2\n\ndef zweite(x):", "def zweite(x):\n", "white space"),
        ("def second(x):\\n    if x:", "def second(x):\\n    if not x:", "    if not x:\n        return 3", "escaped"),
        ("```python\n        return 3\n```", "```python\n        return 5\n```", "        return 5\n", "fence"),
    ],
)
def test_what_is_meant_without_doubt_is_replaced(old: str, new: str, expected: str, overlooked: str) -> None:
    done = replace(CODE, old, new)
    assert (expected in done.text, overlooked in done.overlooked) == (True, True), done
    # Nothing else has changed.
    assert done.text.startswith("def first(x):\n    if x:\n        return 1\n    return 2\n\n")


def test_lines_are_put_into_a_file_with_tabs_as_it_has_them() -> None:
    done = replace(
        "\tif a:\n\t\tb()\n", "    if a:\n        b()", "    if a:\n        c()\n        if d:\n            e()"
    )
    assert done.text == "\tif a:\n\t\tc()\n\t\tif d:\n\t\t\te()\n"


def test_the_ends_of_lines_stay_as_they_are() -> None:
    text = CODE.replace("\n", "\r\n")
    for old, new in (
        ("def second(x):\n    if x:", "def second(z):\n    if z:"),
        ("if x:\nreturn 3", "if z:\nreturn 5"),
    ):
        done = replace(text, old, new)
        assert done.text.count("\r\n") == done.text.count("\n") == text.count("\n"), done


def test_typographic_quotes_and_a_last_line_without_an_end_are_found() -> None:
    assert replace("say('hi')", "say(‘hi’)", "say('ho')").text == "say('ho')"


def test_several_places_are_named_and_replaced_only_on_request() -> None:
    with pytest.raises(ReplacementError, match=r"found 2 times, at lines 2, 8"):
        replace(CODE, "    if x:", "    if y:")
    with pytest.raises(ReplacementError, match=r"found 2 times, at lines 2, 8"):
        replace(CODE, "if  x:  ", "if y:")
    assert replace(CODE, "    if x:", "    if y:", everywhere=True).text.count("if y:") == 2


def test_the_nearest_miss_is_shown_with_its_lines() -> None:
    with pytest.raises(ReplacementError) as refused:
        replace(CODE, "def second(y):\n    if x:\n        return 3\n", "…")
    assert "nearest lines are 7 to 9" in str(refused.value)
    assert "     7\tdef second(x):" in str(refused.value)
    with pytest.raises(ReplacementError, match="nor anything like it"):
        replace(CODE, "SELECT * FROM orders WHERE id = 7", "…")


def test_a_miss_in_a_long_file_is_found_quickly() -> None:
    text = "".join(f"value_{number} = compute({number}, other={number * 7})\n" for number in range(20_000))
    with pytest.raises(ReplacementError, match="nearest lines are 15001 to 15001"):
        replace(text, "value_15000 = compute(15000, another=1)", "x")
