"""Tool calls written as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.slips.behaviours.base import FINDINGS, OLLAMA_TEXT, Behaviour, Change
from benchmarks.slips.competent import Seen
from benchmarks.slips.wire import Reply, ToolCall


def as_text(write: Callable[[Sequence[ToolCall]], str]) -> Change:
    """Write native calls into the text instead."""

    def change(reply: Reply, _: Seen) -> Reply:
        return Reply(write(reply.calls)) if reply.calls else reply

    return change


def each(form: str) -> Callable[[Sequence[ToolCall]], str]:
    """Each call on its own, by a form in which NAME, ARGS and QUOTED (the arguments as a JSON string) stand."""

    def write(calls: Sequence[ToolCall]) -> str:
        return "\n".join(
            form.replace("NAME", call.name)
            .replace("QUOTED", json.dumps(call.arguments))
            .replace("ARGS", call.arguments)
            for call in calls
        )

    return write


def tagged_parameters(calls: Sequence[ToolCall]) -> str:
    """The form of Qwen3-Coder's own template."""
    lines = []
    for call in calls:
        lines.append(f"<function={call.name}>")
        for name, value in json.loads(call.arguments).items():
            text = value if isinstance(value, str) else json.dumps(value)
            lines.append(f"<parameter={name}>\n{text}\n</parameter>")
        lines.append("</function>")
    return "\n".join(["<tool_call>", *lines, "</tool_call>"])


def gemma_calls(calls: Sequence[ToolCall]) -> str:
    """The form of Gemma 4: keys bare, texts between marks."""

    def value(item: Any) -> str:
        if isinstance(item, list):
            return f"[{','.join(map(value, item))}]"
        return f'<|"|>{item}<|"|>' if isinstance(item, str) else json.dumps(item)

    written = []
    for call in calls:
        pairs = ",".join(f"{name}:{value(given)}" for name, given in json.loads(call.arguments).items())
        written.append(f"<|tool_call>call:{call.name}{{{pairs}}}<tool_call|>")
    return "\n".join(written)


TEXT_FORMS: Mapping[str, tuple[str, Callable[[Sequence[ToolCall]], str]]] = {
    "fenced JSON": (OLLAMA_TEXT, each('```json\n{"name": "NAME", "arguments": ARGS}\n```')),
    "bare JSON": (OLLAMA_TEXT, each('{"name": "NAME", "arguments": ARGS}')),
    "in tool_call tags": (
        "QwenLM/Qwen3-Coder#180",
        each('<tool_call>\n{"name": "NAME", "arguments": ARGS}\n</tool_call>'),
    ),
    "function and parameter tags": ("continuedev/continue#13057", tagged_parameters),
    "words, then JSON": (
        "jundot/omlx#2565",
        each('I will do that now:\n\n{"name": "NAME", "arguments": ARGS}\n\nThen I will go on.'),
    ),
    "JSON with quoted arguments": (FINDINGS, each('{"name": "NAME", "arguments": QUOTED}')),
    "JSON with tool and parameters": ("ollama/ollama-vscode#20", each('{"tool": "NAME", "parameters": ARGS}')),
    "JSON with a function inside": (
        "selfagency/opilot#149",
        each('{"type": "function", "function": {"name": "NAME", "arguments": ARGS}}'),
    ),
    "a list of calls": (FINDINGS, each('[{"name": "NAME", "arguments": ARGS}]')),
    "a TOOL_CALLS mark": ("Mistral's chat template", each('[TOOL_CALLS][{"name": "NAME", "arguments": ARGS}]')),
    "a python tag": ("Llama 3.1's prompt format", each('<|python_tag|>{"name": "NAME", "parameters": ARGS}')),
    "DeepSeek's marks": (
        "DeepSeek V3's chat template",
        lambda calls: (
            "<｜tool▁calls▁begin｜>"
            + each("<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\nARGS\n```<｜tool▁call▁end｜>")(calls)
            + "<｜tool▁calls▁end｜>"
        ),
    ),
    "Gemma's call": ("NousResearch/hermes-agent#48412", gemma_calls),
    "action and action input": ("run-llama/llama_index#12865", each("Action: NAME\nAction Input: ARGS")),
    "tags without an end": (OLLAMA_TEXT, each('<tool_call>\n{"name": "NAME", "arguments": ARGS}')),
}


def text_tools() -> Iterator[Behaviour]:
    """A model that never uses the native form, and one that forgets it once."""
    for name, (source, write) in TEXT_FORMS.items():
        yield Behaviour(f"tools as text: {name}", source, change=as_text(write))
    bare = TEXT_FORMS["bare JSON"][1]
    yield Behaviour("tools as text: once", OLLAMA_TEXT, change=as_text(bare), first=1)
    yield Behaviour("tools as text: two in a row", "sgomez/ollama-ai-provider#11", change=as_text(_and_list(bare)))


def _and_list(write: Callable[[Sequence[ToolCall]], str]) -> Callable[[Sequence[ToolCall]], str]:
    look = ToolCall("list_files", "{}", "call_look")
    return lambda calls: write((look, *calls))
