"""Native tool calls, oddly put on the wire or a little wrong in form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.slips.behaviours.base import FINDINGS, LOCAL_JSON, SAME_INDEX, Behaviour, Change
from benchmarks.slips.competent import Seen
from benchmarks.slips.wire import Chunk, Reply, ToolCall


def streamed(chunks: Callable[[Sequence[ToolCall]], Sequence[Chunk]]) -> Change:
    """Stream the calls in another way."""

    def change(reply: Reply, _: Seen) -> Reply:
        return replace(reply, chunks=tuple(chunks(reply.calls))) if reply.calls else reply

    return change


def with_second(change: Change) -> Change:
    """Ask for the list of files in the same turn."""

    def both(reply: Reply, request: Seen) -> Reply:
        if not reply.calls:
            return reply
        second = ToolCall("list_files", "{}", f"{reply.calls[0].id}_b")
        return change(replace(reply, calls=(*reply.calls, second)), request)

    return both


def _delta(call: ToolCall, text: str, **fields: Any) -> Chunk:
    return {"tool_calls": [{**fields, "function": {"name": call.name, "arguments": text}}]}


def same_index(calls: Sequence[ToolCall]) -> list[Chunk]:
    return [_delta(call, call.arguments, index=0, id=call.id, type="function") for call in calls]


def no_index(calls: Sequence[ToolCall]) -> list[Chunk]:
    return [_delta(call, call.arguments, id=call.id, type="function") for call in calls]


def name_each_time(calls: Sequence[ToolCall]) -> list[Chunk]:
    return [
        _delta(call, call.arguments[start : start + 20], index=index, id=call.id, type="function")
        for index, call in enumerate(calls)
        for start in range(0, len(call.arguments), 20)
    ]


def name_in_pieces(calls: Sequence[ToolCall]) -> list[Chunk]:
    chunks: list[Chunk] = []
    for index, call in enumerate(calls):
        half = len(call.name) // 2
        first = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name[:half]}}
        second = {"index": index, "function": {"name": call.name[half:], "arguments": call.arguments}}
        chunks += [{"tool_calls": [first]}, {"tool_calls": [second]}]
    return chunks


def all_in_one_chunk(calls: Sequence[ToolCall]) -> list[Chunk]:
    return [
        {
            "tool_calls": [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in calls
            ]
        }
    ]


def arguments_as_object(calls: Sequence[ToolCall]) -> list[Chunk]:
    return [
        {
            "tool_calls": [
                {
                    "index": index,
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.loads(call.arguments)},
                }
            ]
        }
        for index, call in enumerate(calls)
    ]


def legacy_function_call(calls: Sequence[ToolCall]) -> list[Chunk]:
    return [{"function_call": {"name": call.name, "arguments": call.arguments}} for call in calls[:1]]


def no_id(calls: Sequence[ToolCall]) -> list[Chunk]:
    return [
        {"tool_calls": [{"index": index, "function": {"name": call.name, "arguments": call.arguments}}]}
        for index, call in enumerate(calls)
    ]


def calls_with(edit: Callable[[ToolCall], ToolCall]) -> Change:
    """Change each call."""

    def change(reply: Reply, _: Seen) -> Reply:
        return replace(reply, calls=tuple(edit(call) for call in reply.calls))

    return change


def arguments(edit: Callable[[str], str]) -> Change:
    """Change the arguments' text on the wire."""
    return calls_with(lambda call: replace(call, arguments=edit(call.arguments)))


def values(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    """Change the arguments' values."""
    return arguments(lambda text: json.dumps(edit(json.loads(text))))


def renamed(**names: str) -> Change:
    return values(lambda given: {names.get(name, name): value for name, value in given.items()})


def odd_wire() -> Iterator[Behaviour]:
    """Ways in which vendors and proxies put a right call on the wire."""
    streams: Mapping[str, tuple[str, Change]] = {
        "two calls on one index": (SAME_INDEX, with_second(streamed(same_index))),
        "two calls without an index": ("SamSaffron/term-llm#314", with_second(streamed(no_index))),
        "two calls in one chunk without an index": ("comet-ml/opik#8362", with_second(streamed(all_in_one_chunk))),
        "name and id in every chunk": ("open-webui/open-webui#22235", streamed(name_each_time)),
        "name in pieces": ("NVIDIA-NeMo/Switchyard#785", streamed(name_in_pieces)),
        "arguments as an object": ("Ollama's /api/chat", streamed(arguments_as_object)),
        "function_call of old": ("OpenAI's API before tools", streamed(legacy_function_call)),
        "no id": ("older Ollama", streamed(no_id)),
    }
    for name, (source, change) in streams.items():
        yield Behaviour(f"wire: {name}", source, change=change, streamed=True)
    yield Behaviour(
        "wire: the same id twice", SAME_INDEX, change=with_second(calls_with(lambda call: replace(call, id="call_0")))
    )
    yield Behaviour("wire: finish_reason stop with calls", "jundot/omlx#2565", change=_finish_with("stop"))
    yield Behaviour("wire: arguments encoded twice", FINDINGS, change=arguments(json.dumps))
    yield Behaviour("wire: trailing comma in arguments", LOCAL_JSON, change=arguments(lambda text: text[:-1] + ",}"))
    yield Behaviour(
        "wire: raw line feed in arguments",
        "mastra-ai/mastra#8973",
        change=arguments(lambda text: text.replace("\\n", "\n")),
    )
    yield Behaviour(
        "wire: Python's quotes in arguments", LOCAL_JSON, change=arguments(lambda text: repr(json.loads(text)))
    )
    yield Behaviour("wire: fenced arguments", LOCAL_JSON, change=arguments(lambda text: f"```json\n{text}\n```"))
    yield Behaviour(
        "wire: broken arguments once", FINDINGS, change=arguments(lambda text: text[: len(text) // 2]), first=1
    )
    yield Behaviour(
        "wire: thinking in its own field",
        "vLLM's reasoning output",
        change=lambda reply, _: replace(reply, extra={"reasoning_content": "First I read the file."}),
    )


def _finish_with(reason: str) -> Change:
    return lambda reply, _: replace(reply, finish=reason) if reply.calls else reply


def odd_calls() -> Iterator[Behaviour]:
    """Calls whose meaning is plain and whose form is a little wrong."""
    yield Behaviour(
        "call: name with a namespace",
        "gpt-oss's functions namespace",
        change=calls_with(lambda call: replace(call, name=f"functions.{call.name}")),
    )
    yield Behaviour(
        "call: name in other letters",
        "aider and SWE-agent users' models",
        change=calls_with(lambda call: replace(call, name=call.name.replace("_", "-").title())),
    )
    yield Behaviour(
        "call: a tool that does not exist, once",
        "thClaws/thClaws#50",
        change=calls_with(lambda call: replace(call, name="open_file")),
        first=1,
    )
    yield Behaviour(
        "call: another parameter's name",
        FINDINGS,
        change=renamed(path="file_path", old="old_str", new="new_str"),
        first=2,
    )
    yield Behaviour(
        "call: a parameter too many", FINDINGS, change=values(lambda given: {**given, "explanation": "as planned"})
    )
    yield Behaviour(
        "call: a number as text",
        FINDINGS,
        change=values(lambda given: {**given, "start_line": "1"} if set(given) == {"path"} else given),
    )
    yield Behaviour(
        "call: null for a default",
        FINDINGS,
        change=values(lambda given: {**given, "end_line": None} if set(given) == {"path"} else given),
    )
    yield Behaviour("call: path below /workspace", FINDINGS, change=values(_below("/workspace/")), first=1)
    yield Behaviour("call: path with ./", FINDINGS, change=values(_below("./")))
    yield Behaviour(
        "call: command as one text",
        FINDINGS,
        change=values(lambda given: {**given, "command": " ".join(given["command"])} if "command" in given else given),
    )
    yield Behaviour(
        "call: command through a shell",
        FINDINGS,
        change=values(
            lambda given: (
                {**given, "command": ["bash", "-lc", " ".join(given["command"])]} if "command" in given else given
            )
        ),
        first=4,
    )
    yield Behaviour(
        "call: a piece with other white space, once", "Aider-AI/aider's edit failures", change=_loose_edit, first=2
    )
    yield Behaviour("call: harmless git status first", FINDINGS, change=_git_first, first=1)


def _below(prefix: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda given: {**given, "path": prefix + given["path"]} if "path" in given else given


def _loose_edit(reply: Reply, request: Seen) -> Reply:
    loosen = values(lambda given: {**given, "old": given["old"].replace("    ", "\t")} if "old" in given else given)
    return loosen(reply, request)


def _git_first(reply: Reply, _: Seen) -> Reply:
    return replace(reply, calls=(ToolCall("run_command", json.dumps({"command": ["git", "status"]}), "call_git"),))
