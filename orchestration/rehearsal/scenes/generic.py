"""Replies to goals that the rehearsal model does not know: it does little, and says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from orchestration.errors import UsageError
from orchestration.rehearsal.conversation import RehearsalReply, RehearsalRequest, RehearsalToolCall
from orchestration.rehearsal.labels import LABEL
from orchestration.rehearsal.scenes.filler import example
from orchestration.rehearsal.scenes.scene import executed, finding, json_reply, reviewed

NOTES = "REHEARSAL_NOTES.md"
_DISCLAIMER = "A rehearsal model knows the sample goal only and cannot work on this one; name a real provider for it."
# Where a goal is usually explained, the most specific first.
_DOCUMENTS = ("docs/backlog.md", "BACKLOG.md", "README.md")


def has_role(role: str) -> Callable[[RehearsalRequest], bool]:
    """A condition: the request comes from an agent of this role."""
    return lambda conversation: conversation.role == role


def wants_structure(conversation: RehearsalRequest) -> bool:
    """Whether the answer has to match a schema."""
    return conversation.schema is not None


def always(_conversation: RehearsalRequest) -> bool:
    """The last scene matches everything."""
    return True


def is_planning_blindly(conversation: RehearsalRequest) -> bool:
    """Whether a planner has files left to read before it plans."""
    return conversation.role == "planner" and _next_look(conversation) is not None


def look_around(conversation: RehearsalRequest) -> RehearsalReply:
    """The planner lists the files, then reads the one that explains the goal."""
    look = _next_look(conversation)
    return RehearsalReply(calls=(look,) if look else ())


def _next_look(conversation: RehearsalRequest) -> RehearsalToolCall | None:
    if "list_files" in conversation.tools and not conversation.results("list_files"):
        return RehearsalToolCall("list_files", {"path": "."})
    document = next((name for name in _DOCUMENTS if name in conversation.all_text), None)
    if document and "read_file" in conversation.tools and not conversation.results("read_file"):
        return RehearsalToolCall("read_file", {"path": document})
    return None


def plan(_conversation: RehearsalRequest) -> RehearsalReply:
    """One step that changes nothing but a note."""
    step: dict[str, Any] = {
        "id": "s1",
        "title": "Inspect and note",
        "instructions": f"List the files and write {NOTES}. {_DISCLAIMER}",
        "files": [NOTES],
        "depends_on": [],
        "done_when": f"{NOTES} exists.",
    }
    return json_reply(
        summary=f"{LABEL} {_DISCLAIMER}", steps=[step], risks=["Nothing of the goal itself will be done."]
    )


def execute(conversation: RehearsalRequest) -> RehearsalReply:
    """List the files, leave the note; done only if no more than the note was asked for."""
    if "list_files" in conversation.tools and not conversation.results("list_files"):
        return RehearsalReply(calls=(RehearsalToolCall("list_files", {"path": "."}),))
    if "write_file" in conversation.tools and not conversation.results("write_file"):
        return RehearsalReply(
            calls=(RehearsalToolCall("write_file", {"path": NOTES, "content": f"# {LABEL} Notes\n\n{_DISCLAIMER}\n"}),)
        )
    return executed("Wrote a note, nothing else.", done=NOTES in conversation.user_text, notes=(_DISCLAIMER,))


def review(_conversation: RehearsalRequest) -> RehearsalReply:
    """Approve, and say that no model has reviewed the change."""
    # Approved, because changes requested here would only send an executor round again that leaves a note and no more.
    note = finding("note", "This was a rehearsal: no model has read the change.")
    return reviewed("Not a real review.", note, approved=True)


def fill_in(conversation: RehearsalRequest) -> RehearsalReply:
    """The smallest answer that matches the schema. Raises UsageError when the schema itself is broken."""
    # The schema is the client's, so whatever is wrong with it is answered with 400 and never with 500.
    try:
        return RehearsalReply(json.dumps(example(conversation.schema or {})))
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise UsageError(f"no value can match the JSON schema: {error}") from error


def explain(_conversation: RehearsalRequest) -> RehearsalReply:
    """A short text for every other question."""
    return RehearsalReply(f"{LABEL} This is a rehearsal answer. {_DISCLAIMER}")
