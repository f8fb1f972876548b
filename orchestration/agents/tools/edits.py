"""Changing the files of the workspace."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath

import anyio.to_thread
from pydantic import Field

from orchestration.agents.tools import AgentTool, Arguments, ToolContext, ToolResult
from orchestration.agents.tools.edit_history import MOST_BYTES, EditHistory, UndoError
from orchestration.agents.tools.excerpt import numbered
from orchestration.agents.tools.files import is_text
from orchestration.agents.tools.line_match import line_end, split_lines
from orchestration.agents.tools.patch_application import apply_hunks
from orchestration.agents.tools.patch_text import FilePatch, PatchError, parse_patch
from orchestration.agents.tools.replacement import ReplacementError, replace, without_fence, without_line_numbers
from orchestration.agents.tools.shown_text import HiddenTextError, PlainText, ShownText, has_marks, hides
from orchestration.agents.tools.syntax import new_problem
from orchestration.security.scan import Find

# Lines around a change that are shown after it.
_AROUND = 3
_MOST_SHOWN_LINES = 40
# "# … rest of the code unchanged": models shorten what they find tedious, and a file would lose its code.
_ELIDED = re.compile(
    r"^[ \t]*(?:#|//|/\*|<!--|--|;)*[ \t]*(?:\.\.\.|…)[ \t]*\(?(?:the )?"
    r"(?:rest|existing|remaining|remainder|other|previous|same|unchanged|omitted)\b"
    r"|^\[… (?:lines \d+ to \d+ of \d+ left out|\d+ more lines|only the first)",
    re.IGNORECASE | re.MULTILINE,
)
_BYTE_ORDER = "\ufeff"
_MARKDOWN = frozenset({".md", ".markdown", ".mdx", ".rst", ".txt"})


class WriteArguments(Arguments):
    path: str = Field(description="The file, relative to the workspace; missing folders are made.")
    content: str = Field(description="The whole new content.")


class ReplaceArguments(Arguments):
    path: str = Field(description="The file, relative to the workspace.")
    old: str = Field(min_length=1, description="Lines or a piece of a line that the file has at exactly one place.")
    new: str = Field(description="What to put in its place.")
    everywhere: bool = Field(default=False, description="Replace `old` at all places instead.")


class PatchArguments(Arguments):
    patch: str = Field(min_length=1, description="A unified diff of one or several files; line numbers may be wrong.")


class PathArguments(Arguments):
    path: str = Field(description="The file, relative to the workspace.")


class MoveArguments(Arguments):
    path: str = Field(description="The file or folder, relative to the workspace.")
    to: str = Field(description="Its new path; missing folders are made.")


class EditError(ValueError):
    """The edit cannot be done; the message tells the model why."""


async def _run(context: ToolContext, edit: Callable[[EditHistory], str]) -> ToolResult:
    history = EditHistory(context.folder, context.notes)
    try:
        return ToolResult(await anyio.to_thread.run_sync(edit, history))
    except (EditError, ReplacementError, PatchError, UndoError, HiddenTextError) as error:
        return ToolResult(str(error), ok=False)


async def _write(context: ToolContext, arguments: WriteArguments) -> ToolResult:
    return await _run(context, partial(_write_file, arguments, context.find))


def _write_file(arguments: WriteArguments, find: Find, history: EditHistory) -> str:
    path = arguments.path
    before = history.content(path)
    content, overlooked = _meant(path, arguments.content)
    _refuse_elision(content, _text(before))
    content = _in_form(content, _text(before))
    if hides(content):
        content = "\n".join(ShownText(_text(before), find, cut=True).restored(content))
    changed = history.write(path, _bytes(content))
    what = "wrote" if changed else "left as it was, with the same content,"
    said = f"{what} {path} ({len(split_lines(content))} lines){overlooked}{_problem(path, before, content)}"
    return said + _marks_left(content)


def _marks_left(content: str) -> str:
    if not has_marks(content):
        return ""
    return (
        "\nnote: marks such as [redacted:password] stand for secrets that you are not shown. Those in the new text are "
        "in the file now as they are; code that needs the secret should read it from the environment"
    )


def _meant(path: str, content: str) -> tuple[str, str]:
    """The content without a fence or line numbers around it, which no such file begins with."""
    if PurePosixPath(path).suffix.lower() in _MARKDOWN:
        return content, ""
    bare = without_fence(content)
    if bare != content:
        return bare, "; the fence around it was left out"
    bare = without_line_numbers(content)
    return (content, "") if bare == content else (bare, "; the line numbers were left out")


def _in_form(content: str, before: str) -> str:
    """The content with the byte order mark and the ends of lines of the file, none of which agents are shown."""
    if line_end(before) == "\r\n" and "\r\n" not in content:
        content = content.replace("\n", "\r\n")
    if before.startswith(_BYTE_ORDER) and not content.startswith(_BYTE_ORDER):
        content = _BYTE_ORDER + content
    if before.endswith("\n") and content and not content.endswith("\n"):
        content += line_end(before)
    return content


def _refuse_elision(new: str, old: str) -> None:
    found = _ELIDED.search(new)
    if found and found.group().strip() not in old:
        line = 1 + new.count("\n", 0, found.start())
        raise EditError(
            f"nothing was changed: line {line} of the new text, '{found.group().strip()}', stands for code that would "
            "be lost. Write all of it, or change only some lines with replace_in_file"
        )


async def _replace(context: ToolContext, arguments: ReplaceArguments) -> ToolResult:
    return await _run(context, partial(_replace_in_file, arguments, context.find))


def _replace_in_file(arguments: ReplaceArguments, find: Find, history: EditHistory) -> str:
    path, before = arguments.path, _editable(arguments.path, history)
    shown = _shown(_text(before), find, arguments.old, arguments.new)
    text = shown.text
    if arguments.old == arguments.new:
        raise EditError("`old` and `new` are the same, so nothing was changed")
    if _is_done(text, arguments):
        # A step that was interrupted runs again, and may find its work done.
        return f"{path} holds the new text already; nothing was changed"
    _refuse_elision(arguments.new, arguments.old)
    done = replace(text, arguments.old, arguments.new, everywhere=arguments.everywhere)
    new, line = _restored(shown, done.text, done.line)
    history.write(path, _bytes(new))
    overlooked = f"; {done.overlooked} was overlooked" if done.overlooked else ""
    return f"replaced in {path}{overlooked}\n{_around(new, line, done.lines)}{_problem(path, before, new)}"


def _shown(text: str, find: Find, *edits: str) -> ShownText | PlainText:
    """The text as the edits mean it."""
    return ShownText(text, find) if hides(*edits) else PlainText(text)


def _restored(shown: ShownText | PlainText, edited: str, line: int) -> tuple[str, int]:
    """The edited text with its secrets, and the number that a line of it has there."""
    lines = shown.restored(edited)
    return "\n".join(lines), line + sum(each.count("\n") for each in lines[: line - 1])


def _is_done(text: str, arguments: ReplaceArguments) -> bool:
    """Whether the new text is there, and the old text only within it."""
    old, new = arguments.old, arguments.new
    return bool(new) and new in text and text.count(old) == text.count(new) * new.count(old)


async def _patch(context: ToolContext, arguments: PatchArguments) -> ToolResult:
    return await _run(context, partial(_apply_patch, arguments, context.find))


def _apply_patch(arguments: PatchArguments, find: Find, history: EditHistory) -> str:
    """All files or none: everything is computed before anything is written."""
    planned = [(one, *_patched(one, find, history)) for one in parse_patch(arguments.patch)]
    said = []
    for one, text, line in planned:
        if one.new is None:
            if history.content(one.path) is not None:
                history.delete(one.path)
            said.append(f"deleted {one.path}")
            continue
        before = history.content(one.old or one.path)
        changed = history.write(one.path, _bytes(text))
        if one.old not in (None, one.new) and history.content(one.old or "") is not None:
            history.delete(one.old or "")
        what = "changed" if changed else "the patch is in it already:"
        said.append(f"{what} {one.path}\n{_around(text, line, 1)}{_problem(one.path, before, text)}")
    return "\n".join(said)


def _patched(one: FilePatch, find: Find, history: EditHistory) -> tuple[str, int]:
    """A file's text after the patch, and the first changed line."""
    if one.new is None:
        return "", 1
    there = history.content(one.old or one.path)
    if there is None and one.old not in (None, one.new):
        there = history.content(one.path)  # moved before: the step is repeated
    made = "".join(f"{line}\n" for hunk in one.hunks for line in hunk.new)
    if there is None:
        if any(hunk.old for hunk in one.hunks):
            raise PatchError(f"there is no file {one.old or one.path}; nothing was changed")
        return made, 1
    if one.old is None:
        if there != made.encode():
            raise PatchError(f"{one.path} is there already, so the patch cannot make it; nothing was changed")
        return made, 1
    shown = _shown(_text(_checked(one.path, there)), find, *(line for hunk in one.hunks for _, line in hunk.ops))
    for hunk in one.hunks:
        _refuse_elision("\n".join(hunk.new), shown.text)
    try:
        applied = apply_hunks(shown.text, one.hunks)
    except PatchError as error:
        raise PatchError(f"{one.path}: {error}. Nothing was changed, in no file of the patch") from error
    return _restored(shown, applied.text, applied.line)


async def _delete(context: ToolContext, arguments: PathArguments) -> ToolResult:
    def delete(history: EditHistory) -> str:
        if history.content(arguments.path) is None:
            raise EditError(f"there is no file {arguments.path}; nothing was deleted")
        history.delete(arguments.path)
        return f"deleted {arguments.path}; undo_edit brings it back"

    return await _run(context, delete)


async def _move(context: ToolContext, arguments: MoveArguments) -> ToolResult:
    def move(_: EditHistory) -> str:
        there, folder = folder_exists(arguments.path), context.folder
        if not there:
            done = " The target is there: it may have been moved before." if folder_exists(arguments.to) else ""
            raise EditError(f"there is nothing at {arguments.path} to move.{done}")
        folder.move(arguments.path, arguments.to)
        return f"moved {arguments.path} to {arguments.to}"

    folder_exists = context.folder.exists
    return await _run(context, move)


async def _undo(context: ToolContext, arguments: PathArguments) -> ToolResult:
    return await _run(context, lambda history: history.undo(arguments.path))


def _editable(path: str, history: EditHistory) -> bytes:
    data = history.content(path)
    if data is None:
        raise EditError(f"there is no file {path}; list_files shows what there is, write_file makes a new one")
    return _checked(path, data)


def _checked(path: str, data: bytes) -> bytes:
    if len(data) > MOST_BYTES:
        raise EditError(f"{path} is larger than {MOST_BYTES:,} bytes; it cannot be changed with this tool")
    if not is_text(data):
        raise EditError(f"{path} is not text; it cannot be changed with this tool")
    return data


def _text(data: bytes | None) -> str:
    # Bytes that are not UTF-8 are written back unchanged.
    return (data or b"").decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _around(text: str, line: int, count: int) -> str:
    """The lines of a change and some around it, as they are now."""
    lines = split_lines(text)
    first = max(0, line - 1 - _AROUND)
    last = min(len(lines), line - 1 + count + _AROUND, first + _MOST_SHOWN_LINES)
    return numbered(lines[first:last], first + 1).encode("utf-8", "replace").decode()


def _problem(path: str, before: bytes | None, after: str) -> str:
    problem = new_problem(path, None if before is None else _text(before), after)
    return f"\nnote: {problem}" if problem else ""


TOOLS = (
    AgentTool(
        "write_file",
        "Write a whole file, new or in the place of what was there.",
        WriteArguments,
        _write,
        reads_only=False,
    ),
    AgentTool(
        "replace_in_file",
        "Replace one piece of a file. The piece must be in it at exactly one place; white space may differ.",
        ReplaceArguments,
        _replace,
        reads_only=False,
    ),
    AgentTool(
        "apply_patch",
        "Change, create, delete or rename files with a unified diff; all of it is applied or nothing.",
        PatchArguments,
        _patch,
        reads_only=False,
    ),
    AgentTool("delete_file", "Delete a file.", PathArguments, _delete, reads_only=False),
    AgentTool("move_file", "Move or rename a file or a folder.", MoveArguments, _move, reads_only=False),
    AgentTool(
        "undo_edit",
        "Take back the last edit of a file, which brings back what was there before.",
        PathArguments,
        _undo,
        reads_only=False,
    ),
)
