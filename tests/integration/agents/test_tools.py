from __future__ import annotations

import json
import os
import re
import resource
import time
from pathlib import Path
from typing import Any

import pytest

from orchestration.agents.sandbox import SandboxLimits
from orchestration.agents.tools import BadArgumentsError, ToolContext, ToolResult, parse_arguments, search
from orchestration.agents.tools.notes import FolderNotes
from orchestration.agents.tools.registry import ALL
from orchestration.security.permissions import PermissionRefusedError
from orchestration.security.safe_folder import SafeFolder
from tests.support.patience import Stopwatch


class Bench:
    """Tools in a folder, called as a model calls them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes = FolderNotes(root.with_name(f"{root.name}-notes"), lambda text: text.replace("s3cret", "[secret]"))

    async def use(self, name: str, **arguments: Any) -> ToolResult:
        tool = ALL[name]
        commands = ("python3 -c", "sleep")
        context = ToolContext(
            SafeFolder(self.root), commands, SandboxLimits(seconds=10), lambda count: None, self.notes
        )
        return await tool.run(context, parse_arguments(tool, json.dumps(arguments)))

    async def tried(self, name: str, **arguments: Any) -> bool:
        """Whether a call succeeds that the file system may refuse."""
        try:
            return (await self.use(name, **arguments)).ok
        except OSError:
            return False


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("one = 1\ntwo = 2\nthree = 3\n")
    return Bench(tmp_path)


async def test_a_file_is_read_whole_or_in_part(bench: Bench) -> None:
    whole = await bench.use("read_file", path="src/a.py")
    assert whole.text == "     1\tone = 1\n     2\ttwo = 2\n     3\tthree = 3"
    assert (await bench.use("read_file", path="src/a.py", start_line=2, end_line=2)).text == "     2\ttwo = 2"
    assert (await bench.use("read_file", path="src/a.py", start_line=3, end_line=99)).text == "     3\tthree = 3"


async def test_lines_that_are_not_there_are_told_apart_from_an_empty_file(bench: Bench) -> None:
    result = await bench.use("read_file", path="src/a.py", start_line=4)
    assert (result.ok, "the file has 3 lines" in result.text) == (False, True)
    (bench.root / "empty").touch()
    assert (await bench.use("read_file", path="empty")).text == "(the file is empty)"


async def test_a_long_file_shows_its_head_and_end_and_is_read_on_from_there(bench: Bench) -> None:
    lines = [f"line {number} {'x' * 80}" for number in range(1, 3001)]
    (bench.root / "long").write_text("\n".join(lines))
    first = (await bench.use("read_file", path="long")).text
    assert first.startswith("     1\tline 1 ")
    assert first.splitlines()[-1].startswith("  3000\tline 3000 ")
    assert len(first) < 25_000
    gap = re.search(r"\[… lines (\d+) to (\d+) of 3000 left out; read them with start_line=(\d+)\]", first)
    assert gap is not None
    last, start = int(gap.group(2)), int(gap.group(3))
    seen = first[: gap.start()].splitlines() + first[gap.end() :].strip().splitlines()
    while start <= last:
        text = (await bench.use("read_file", path="long", start_line=start, end_line=last)).text
        body, _, rest = text.partition("\n[… ")
        seen += body.splitlines()
        start = int(rest.partition("start_line=")[2].partition("]")[0]) if rest else last + 1
    assert sorted(line.partition("\t")[2] for line in seen) == sorted(lines)


async def test_a_huge_file_says_that_only_its_beginning_can_be_read(bench: Bench) -> None:
    (bench.root / "huge").write_bytes(b"word\n" * 500_000)
    result = await bench.use("read_file", path="huge", start_line=199_999)
    assert "only the first 1,000,000 bytes" in result.text
    assert "199999\tword\n200000\tword" in result.text


@pytest.mark.parametrize("name", ["read_file", "replace_in_file"])
async def test_what_is_no_text_is_not_shown_or_changed(bench: Bench, name: str) -> None:
    (bench.root / "picture").write_bytes(b"\x89PNG\0\0\0old")
    more = {"old": "old", "new": "new"} if name == "replace_in_file" else {}
    result = await bench.use(name, path="picture", **more)
    assert (result.ok, "not text" in result.text) == (False, True)
    assert (bench.root / "picture").read_bytes() == b"\x89PNG\0\0\0old"


async def test_files_are_written_whole(bench: Bench) -> None:
    assert (await bench.use("write_file", path="new/b.py", content="x = 1\n")).text == "wrote new/b.py (1 lines)"
    assert (bench.root / "new" / "b.py").read_text() == "x = 1\n"
    assert "left as it was" in (await bench.use("write_file", path="new/b.py", content="x = 1\n")).text


async def test_half_of_a_surrogate_pair_does_no_harm(bench: Bench) -> None:
    assert (await bench.use("write_file", path="odd", content="a\ud83d!")).ok
    assert (bench.root / "odd").read_text() == "a\ufffd!"
    assert (await bench.use("search_files", pattern="a\ud83d")).ok


async def test_a_piece_is_replaced_where_it_stands_once(bench: Bench) -> None:
    assert (await bench.use("replace_in_file", path="src/a.py", old="two = 2", new="two = 22")).ok
    assert (bench.root / "src" / "a.py").read_text() == "one = 1\ntwo = 22\nthree = 3\n"
    for old, said in (("four", "not found"), (" = ", "found 3 times, at lines 1, 2, 3")):
        result = await bench.use("replace_in_file", path="src/a.py", old=old, new="x")
        assert (result.ok, said in result.text) == (False, True)


@pytest.mark.parametrize(("old", "new"), [("two = 2\n", "zwei = 2\n"), ("two = 2\n", "two = 2\nand_a_half = 2.5\n")])
async def test_a_replacement_that_is_done_a_second_time_changes_nothing(bench: Bench, old: str, new: str) -> None:
    await bench.use("replace_in_file", path="src/a.py", old=old, new=new)
    once = (bench.root / "src" / "a.py").read_text()
    again = await bench.use("replace_in_file", path="src/a.py", old=old, new=new)
    assert (again.ok, "already" in again.text) == (True, True)
    assert (bench.root / "src" / "a.py").read_text() == once


async def test_bytes_that_are_no_utf_8_survive_a_replacement(bench: Bench) -> None:
    (bench.root / "latin").write_bytes("é = 1\nold\n".encode("latin-1"))
    assert (await bench.use("replace_in_file", path="latin", old="old", new="new")).ok
    assert (bench.root / "latin").read_bytes() == "é = 1\nnew\n".encode("latin-1")


async def test_a_file_that_is_too_large_is_not_cut_off_by_a_replacement(bench: Bench) -> None:
    content = "old\n" + "x" * 1_200_000
    (bench.root / "large").write_text(content)
    result = await bench.use("replace_in_file", path="large", old="old", new="new")
    assert (result.ok, "larger than" in result.text) == (False, True)
    assert (bench.root / "large").read_text() == content


async def test_ten_thousand_files_are_listed_in_part_and_searched_whole(bench: Bench) -> None:
    for number in range(100):
        (bench.root / f"d{number}").mkdir()
        for other in range(100):
            (bench.root / f"d{number}" / f"f{other}").write_text("needle\n" if (number, other) == (77, 5) else "hay\n")
    started = Stopwatch()
    listed = await bench.use("list_files")
    assert len(listed.text.splitlines()) == 501
    assert "list a folder below" in listed.text
    assert (await bench.use("search_files", pattern="needle")).text == "d77/f5:1:needle"
    assert started.is_within(5), started


async def test_names_that_are_no_utf_8_are_listed_and_searched(bench: Bench) -> None:
    Path(os.fsdecode(os.fsencode(bench.root) + b"/x\xe9.txt")).write_text("here\n")
    for name, arguments in (("list_files", {}), ("search_files", {"pattern": "here"})):
        text = (await bench.use(name, **arguments)).text
        text.encode()
        assert re.search("x[?\ufffd]\\.txt", text)


async def test_a_search_finds_lines_below_a_folder_or_in_a_file(bench: Bench) -> None:
    assert (await bench.use("search_files", pattern=r"t\w+ =")).text == "src/a.py:2:two = 2\nsrc/a.py:3:three = 3"
    assert (await bench.use("search_files", pattern="one", path="src/a.py")).text == "src/a.py:1:one = 1"
    assert (await bench.use("search_files", pattern="absent")).text == "(nothing found)"
    assert "stopped after 1 lines" in (await bench.use("search_files", pattern="=", most=1)).text
    assert "stopped after" not in (await bench.use("search_files", pattern="=", most=3)).text


async def test_a_search_passes_over_secrets_binaries_links_and_what_is_too_large(bench: Bench) -> None:
    outside = bench.root.parent / f"{bench.root.name}-outside"
    outside.mkdir()
    (outside / "x").write_text("needle")
    (bench.root / "link").symlink_to(outside)
    (bench.root / "file-link").symlink_to(outside / "x")
    (bench.root / "a:b").mkdir()
    for path in (".env", "a:b/.env", "a:b/deploy.KEY"):
        (bench.root / path).write_text("needle")
    (bench.root / "binary").write_bytes(b"\0needle")
    (bench.root / "large").write_bytes(b"needle\n" * 400_000)
    os.mkfifo(bench.root / "fifo")
    result = await bench.use("search_files", pattern="needle")
    assert result.text == "(nothing found)\n[1 files of more than 2,000,000 bytes were not searched]"
    with pytest.raises(PermissionRefusedError, match="leads out"):
        await bench.use("search_files", pattern="needle", path="link")


async def test_a_catastrophic_expression_is_stopped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_SECONDS", 0.6)
    (bench.root / "bait").write_text("a" * 60 + "!\n")
    started = Stopwatch()
    result = await bench.use("search_files", pattern="(a+)+$")
    assert started.is_within(10), started
    assert (result.ok, "it took longer than 0.6 s; use a simpler expression" in result.text) == (False, True)


@pytest.mark.parametrize("pattern", ["(", "[", "a{99999999999999}", "*", "(?P<x"])
async def test_what_is_no_expression_is_searched_as_it_is(bench: Bench, pattern: str) -> None:
    (bench.root / "odd").write_text(f"call{pattern}\n")
    result = await bench.use("search_files", pattern=pattern)
    assert result.text.startswith(f"odd:1:call{pattern}\n[no regular expression")


async def test_a_search_shows_lines_around_and_some_files_only(bench: Bench) -> None:
    (bench.root / "notes.md").write_text("Two\n")
    found = await bench.use("search_files", pattern="TWO", ignore_case=True, around=1)
    assert found.text.splitlines() == [
        "notes.md:1:Two",
        "src/a.py-1-one = 1",
        "src/a.py:2:two = 2",
        "src/a.py-3-three = 3",
    ]
    assert (await bench.use("search_files", pattern="wo", files="*.md")).text == "notes.md:1:Two"
    assert (await bench.use("search_files", pattern=r"^three = \d$")).text == "src/a.py:3:three = 3"
    assert (await bench.use("search_files", pattern=r"2(?!\s)")).text == "src/a.py:2:two = 2"


async def test_an_expression_may_hold_any_character(bench: Bench) -> None:
    assert (await bench.use("search_files", pattern="-x\0'\"é")).text == "(nothing found)"


@pytest.mark.parametrize("command", [["python3", "-c", "print('hi')"], "python3 -c \"print('hi')\""])
async def test_a_command_comes_as_words_or_as_one_line(bench: Bench, command: Any) -> None:
    result = await bench.use("run_command", command=command)
    assert (result.ok, result.text) == (True, "hi\n[exit code 0]")
    assert result.data["command"] == ["python3", "-c", "print('hi')"]


async def test_a_command_that_fails_or_is_stopped_says_how(bench: Bench) -> None:
    result = await bench.use("run_command", command=["python3", "-c", "raise SystemExit(3)"])
    assert (result.ok, result.text) == (False, "[exit code 3]")
    tool = ALL["run_command"]
    context = ToolContext(
        SafeFolder(bench.root), ("sleep",), SandboxLimits(seconds=0.3), lambda count: None, bench.notes
    )
    stopped = await tool.run(context, parse_arguments(tool, '{"command": ["sleep", "60"]}'))
    assert (stopped.ok, stopped.text) == (False, "[stopped: it took longer than 0.3 s]")


@pytest.mark.parametrize("command", [["rm", "-rf", "."], ["python3"], ["/usr/bin/python3", "-c", "1"]])
async def test_a_command_that_is_not_allowed_is_refused_with_those_that_are(bench: Bench, command: list[str]) -> None:
    with pytest.raises(PermissionRefusedError, match="may run \\('python3 -c', 'sleep'\\)"):
        await bench.use("run_command", command=command)


async def test_a_long_output_keeps_its_end_and_the_rest_can_be_read(bench: Bench) -> None:
    script = "for n in range(1, 4001): print(f'test {n} ok s3cret')\nprint('FAILED (errors=1)')"
    result = await bench.use("run_command", command=["python3", "-c", script])
    assert result.text.startswith("test 1 ok")
    assert result.text.endswith("FAILED (errors=1)\n[exit code 0]")
    assert len(result.text) < 18_000
    gap = re.search(r'lines (\d+) to (\d+) of 4001 left out; read them with read_output, output="(\w+)"', result.text)
    assert gap is not None
    rest = await bench.use("read_output", output=gap.group(3), start_line=2000, end_line=2001)
    # What is kept on disk is redacted; the text of the tool itself is redacted by whoever sends it on.
    assert rest.text == "  2000\ttest 2000 ok [secret]\n  2001\ttest 2001 ok [secret]"
    assert not (await bench.use("read_output", output="nonsense")).ok


async def test_an_edit_shows_the_lines_as_they_are_now_and_broken_syntax(bench: Bench) -> None:
    result = await bench.use("replace_in_file", path="src/a.py", old="two = 2", new="two = (2")
    assert "     2\ttwo = (2\n     3\tthree = 3" in result.text
    assert "no valid Python any more: line 2" in result.text
    again = await bench.use("replace_in_file", path="src/a.py", old="one = 1", new="one = 11")
    assert "no valid" not in again.text  # it was broken before this edit


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("write_file", {"path": "src/a.py", "content": "one = 1\n# ... rest of the code unchanged\n"}),
        ("replace_in_file", {"path": "src/a.py", "old": "two = 2", "new": "two = 3\n// … existing code"}),
        ("apply_patch", {"patch": "--- a/src/a.py\n+++ b/src/a.py\n@@\n one = 1\n-two = 2\n+# ... (the rest)\n"}),
    ],
)
async def test_code_is_not_lost_to_an_ellipsis(bench: Bench, tool: str, arguments: dict[str, Any]) -> None:
    result = await bench.use(tool, **arguments)
    assert (result.ok, "stands for code that would be lost" in result.text) == (False, True)
    assert (bench.root / "src" / "a.py").read_text() == "one = 1\ntwo = 2\nthree = 3\n"


async def test_a_fence_around_a_file_is_left_out_except_in_markdown(bench: Bench) -> None:
    for name, expected in (("x.py", "a = 1\n"), ("x.md", "```python\na = 1\n```\n")):
        await bench.use("write_file", path=name, content="```python\na = 1\n```\n")
        assert (bench.root / name).read_text() == expected


async def test_a_patch_changes_makes_deletes_and_moves_files_or_does_nothing(bench: Bench) -> None:
    (bench.root / "old.txt").write_text("x\n")
    (bench.root / "gone.txt").write_text("y\n")
    patch = (
        "--- a/src/a.py\n+++ b/src/a.py\n@@ -40 +40 @@\n-two = 2\n+two = 22\n"
        "--- /dev/null\n+++ b/new/b.py\n@@\n+b = 1\n"
        "--- a/gone.txt\n+++ /dev/null\n@@\n-y\n"
        "diff --git a/old.txt b/moved.txt\nrename from old.txt\nrename to moved.txt\n"
    )
    broken = await bench.use("apply_patch", patch=patch + "--- a/src/a.py\n+++ b/src/a.py\n@@\n-seven\n+eight\n")
    assert (broken.ok, "Nothing was changed" in broken.text, (bench.root / "gone.txt").exists()) == (False, True, True)
    for _ in range(2):  # a step that was interrupted is repeated
        result = await bench.use("apply_patch", patch=patch)
        assert result.ok, result.text
        found = {str(path.relative_to(bench.root)): path.read_text() for path in bench.root.rglob("*.*")}
        assert found == {"src/a.py": "one = 1\ntwo = 22\nthree = 3\n", "new/b.py": "b = 1\n", "moved.txt": "x\n"}


async def test_files_are_deleted_moved_and_brought_back(bench: Bench) -> None:
    before = (bench.root / "src" / "a.py").read_bytes()
    assert (await bench.use("delete_file", path="src/a.py")).ok
    assert not (await bench.use("delete_file", path="src/a.py")).ok
    for _ in range(2):
        assert (await bench.use("undo_edit", path="src/a.py")).ok
        assert (bench.root / "src" / "a.py").read_bytes() == before
    assert (await bench.use("move_file", path="src", to="lib/code")).ok
    assert (bench.root / "lib" / "code" / "a.py").read_bytes() == before
    (bench.root / "other").touch()
    assert not (await bench.tried("move_file", path="other", to="lib/code/a.py"))
    for tool, more in (("delete_file", {}), ("move_file", {"to": "b"})):
        with pytest.raises(PermissionRefusedError):
            await bench.use(tool, path=".env", **more)
        with pytest.raises(PermissionRefusedError):
            await bench.use(tool, path="../out", **more)


async def test_the_last_edit_is_undone_unless_the_file_has_changed_since(bench: Bench) -> None:
    file = bench.root / "src" / "a.py"
    latin = "é = 1\r\nold\r\n".encode("latin-1")
    file.write_bytes(latin)
    await bench.use("replace_in_file", path="src/a.py", old="old", new="new")
    assert (await bench.use("undo_edit", path="src/a.py")).ok
    assert file.read_bytes() == latin
    await bench.use("write_file", path="made.py", content="x = 1\n")
    assert (await bench.use("undo_edit", path="made.py")).ok
    assert not (bench.root / "made.py").exists()
    await bench.use("replace_in_file", path="src/a.py", old="old", new="new")
    file.write_text("a command has written this\n")
    undone = await bench.use("undo_edit", path="src/a.py")
    assert (undone.ok, "changed after" in undone.text) == (False, True)
    assert not (await bench.use("undo_edit", path="never.py")).ok


async def test_five_thousand_files_are_searched_and_mapped_within_a_second(bench: Bench) -> None:
    body = (
        "from src.a import one\n\n\ndef go(value):\n    return os.path.join(value, 'x')\n"
        + "    # filler line of code\n" * 60
    )
    for number in range(5000):
        folder = bench.root / f"part{number % 50}"
        folder.mkdir(exist_ok=True)
        (folder / f"m{number}.py").write_text(body if number != 4321 else f"{body}needle = 1\n")
    (bench.root / ".env").write_text("needle")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime + time.process_time()
    found = await bench.use("search_files", pattern=r"needle = \d")
    drawn = await bench.use("repository_map", tokens=2000)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime + time.process_time() - before
    assert found.text == "part21/m4321.py:66:needle = 1"
    assert drawn.text.splitlines()[-1].startswith(("part", "src", "[…"))
    assert "\nsrc/a.py\n" in drawn.text
    assert "more files, by folder" in drawn.text
    assert used < 2, used  # both, in processor time: the clock of a busy machine says nothing


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{not json", "got no JSON"),
        ("[" * 100_000, "got no JSON"),
        ("9" * 5000, "got no JSON"),
        ("[]", "valid dictionary"),
        ("{}", "path: Field required"),
        ('{"path": 7}', "path: Input should be a valid string"),
        ('{"path": "a", "colour": 1}', "colour: Extra inputs are not permitted"),
        ('{"path": "a", "start_line": 0}', "start_line: Input should be greater"),
    ],
    ids=["no json", "deep", "long number", "a list", "missing", "wrong type", "unknown", "out of range"],
)
def test_wrong_arguments_are_explained(text: str, said: str) -> None:
    with pytest.raises(BadArgumentsError, match="read_file") as caught:
        parse_arguments(ALL["read_file"], text)
    assert said in str(caught.value)


def test_every_tool_describes_itself_to_a_model() -> None:
    for name, tool in ALL.items():
        function = tool.schema()["function"]
        assert function["name"] == name
        assert function["description"]
        assert function["parameters"]["type"] == "object"
        assert all("description" in value for value in function["parameters"]["properties"].values())


async def test_a_file_that_is_written_as_it_was_read_keeps_its_form(bench: Bench) -> None:
    file = bench.root / "odd.py"
    file.write_bytes(b"\xef\xbb\xbfone = 1\r\nname = 'x\xe9y'\r\ndata = '" + b"x" * 3000 + b"'\r\n")
    shown = (await bench.use("read_file", path="odd.py")).text
    seen = "\n".join(line.partition("\t")[2] for line in shown.split("\n"))
    assert (await bench.use("write_file", path="odd.py", content=seen.replace("one", "two").strip("\ufeff"))).ok
    assert file.read_bytes() == (b"\xef\xbb\xbftwo = 1\r\nname = 'x\xe9y'\r\ndata = '" + b"x" * 3000 + b"'\r\n")


async def test_what_stands_for_lines_that_were_left_out_is_not_written(bench: Bench) -> None:
    file = bench.root / "long.py"
    file.write_text("".join(f"line_{number} = {'1' * 50}\n" for number in range(2000)))
    shown = (await bench.use("read_file", path="long.py")).text
    assert "left out; read them with start_line" in shown
    seen = "\n".join(line.partition("\t")[2] or line for line in shown.split("\n"))
    result = await bench.use("write_file", path="long.py", content=seen)
    assert (result.ok, "stands for code that would be lost" in result.text) == (False, True)
    assert len(file.read_text().splitlines()) == 2000
