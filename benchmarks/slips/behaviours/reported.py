"""Behaviours from the issues of servers and of other agents, written down before it was tried how our code takes them.

Each names the report. What can be known of it from the answer alone, or by asking once more, is to end right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.slips import competent
from benchmarks.slips.behaviours.base import Behaviour, Change
from benchmarks.slips.behaviours.odd_calls import arguments, values
from benchmarks.slips.behaviours.servers import refuses
from benchmarks.slips.behaviours.text_tools import TEXT_FORMS, as_text, each, tagged_parameters
from benchmarks.slips.competent import Seen
from benchmarks.slips.wire import Reply, ToolCall, refusal

_OLLAMA_PARSING = "ollama/ollama#17638"
_THOUGHT_CALL = "I have to see the file first.\n<tool_call>\n{}\n</tool_call>"


def reported() -> Iterator[Behaviour]:
    """All of them."""
    yield from _as_text()
    yield from _native_calls()
    yield from _answers()
    yield from _servers()


def _as_text() -> Iterator[Behaviour]:
    forms: Mapping[str, tuple[str, Callable[[Sequence[ToolCall]], str]]] = {
        "gpt-oss's commentary channel": (
            "cline/cline#5393",
            each("<|channel|>commentary to=NAME <|constrain|>json<|message|>ARGS"),
        ),
        "LFM2's marks around Python": ("lmstudio-ai/lmstudio-bug-tracker#1979", _marked_python),
        "the tool's name as the tag": ("cline/cline#5683", _named_tags),
        "toolcall as one word": (
            "ollama/ollama#8287",
            each('<toolcall> {"type": "function", "arguments": ARGS, "name": "NAME"} </toolcall>'),
        ),
        "function tags without an end": (
            "OpenHands/OpenHands#8956",
            lambda calls: tagged_parameters(calls).replace("</function>", "").replace("</tool_call>", "").rstrip(),
        ),
    }
    for name, (source, write) in forms.items():
        yield Behaviour(f"reported, text: {name}", source, change=as_text(write))
    yield Behaviour("reported, text: a call with an invented result", "QwenLM/Qwen3#1817", change=_invented, first=1)
    yield Behaviour("reported, text: a call inside the thinking", "ollama/ollama#10976", change=as_text(_in_think_tags))
    yield Behaviour("reported, text: a call in the field for thinking", "QwenLM/qwen-code#6548", change=_in_reasoning)


def _marked_python(calls: Sequence[ToolCall]) -> str:
    written = [
        f"{call.name}({', '.join(f'{name}={value!r}' for name, value in json.loads(call.arguments).items())})"
        for call in calls
    ]
    return f"<|tool_call_start|>[{', '.join(written)}]<|tool_call_end|>"


def _named_tags(calls: Sequence[ToolCall]) -> str:
    lines = []
    for call in calls:
        lines.append(f"<{call.name}>")
        for name, value in json.loads(call.arguments).items():
            lines.append(f"<{name}>{value if isinstance(value, str) else json.dumps(value)}</{name}>")
        lines.append(f"</{call.name}>")
    return "\n".join(lines)


def _in_think_tags(calls: Sequence[ToolCall]) -> str:
    return f"<think>\n{_THOUGHT_CALL.format(_written(calls))}"


def _in_reasoning(reply: Reply, _: Seen) -> Reply:
    if not reply.calls:
        return reply
    return Reply("", extra={"reasoning_content": _THOUGHT_CALL.format(_written(reply.calls))})


def _written(calls: Sequence[ToolCall]) -> str:
    return TEXT_FORMS["bare JSON"][1](calls)


def _invented(reply: Reply, _: Seen) -> Reply:
    if not reply.calls:
        return reply
    result = "<tool_response>\nThe file is right already; Ran 1 test, OK.\n</tool_response>"
    return Reply(f"<tool_call>\n{_written(reply.calls)}\n</tool_call>\n{result}\n{json.dumps(competent.REPORT)}")


def _native_calls() -> Iterator[Behaviour]:
    yield Behaviour("reported, call: multi_tool_use.parallel", "vercel/ai#2786", change=_parallel_wrapper)
    yield Behaviour("reported, call: no name, once", "NousResearch/hermes-agent#48109", change=_nameless, first=1)
    yield Behaviour(
        "reported, call: no arguments at all", "NousResearch/hermes-agent#83937", change=_bare_list, first=1
    )
    yield Behaviour(
        "reported, call: {} before the arguments", "BerriAI/litellm#4537", change=arguments(lambda text: "{}" + text)
    )
    yield Behaviour(
        "reported, call: a bracket after the arguments", _OLLAMA_PARSING, change=arguments(lambda text: text + "]")
    )
    yield Behaviour("reported, call: arguments in a list", _OLLAMA_PARSING, change=arguments(lambda text: f"[{text}]"))
    yield Behaviour(
        "reported, call: arguments of two calls in one", "BerriAI/litellm#20543", change=_two_in_one, first=1
    )
    yield Behaviour("reported, call: each three times", "lmstudio-ai/lmstudio-bug-tracker#1756", change=_three_times)
    yield Behaviour(
        "reported, call: cut for its length, once", "NousResearch/hermes-agent#13042", change=_cut_call, first=1
    )
    yield Behaviour(
        "reported, call: line numbers in the piece to replace", "xal-sh/xal#42", change=values(_with_line_numbers)
    )
    yield Behaviour("reported, call: a placeholder for the rest", "Aider-AI/aider#1832", change=_placeholder, first=2)
    yield Behaviour("reported, call: a tool for finishing", "OpenHands/OpenHands#6406", change=_finish_tool)


def _parallel_wrapper(reply: Reply, _: Seen) -> Reply:
    if not reply.calls:
        return reply
    uses = [
        {"recipient_name": f"functions.{call.name}", "parameters": json.loads(call.arguments)} for call in reply.calls
    ]
    wrapper = ToolCall("multi_tool_use.parallel", json.dumps({"tool_uses": uses}), reply.calls[0].id)
    return replace(reply, calls=(wrapper,))


def _nameless(reply: Reply, _: Seen) -> Reply:
    return replace(reply, calls=tuple(replace(call, name="") for call in reply.calls))


def _bare_list(_reply: Reply, _: Seen) -> Reply:
    return Reply(calls=(ToolCall("list_files", "", "call_list"),))


def _two_in_one(_reply: Reply, _: Seen) -> Reply:
    both = '{"path": "prices.py"}{"path": "tests/test_prices.py"}'
    return Reply(calls=(ToolCall("read_file", both, "call_both"),))


def _three_times(reply: Reply, _: Seen) -> Reply:
    calls = [replace(call, id=f"{call.id}_{number}") for call in reply.calls for number in range(3)]
    return replace(reply, calls=tuple(calls))


def _cut_call(reply: Reply, _: Seen) -> Reply:
    calls = tuple(replace(call, arguments=call.arguments[: len(call.arguments) // 2]) for call in reply.calls)
    return replace(reply, calls=calls, finish="length")


def _with_line_numbers(given: dict[str, Any]) -> dict[str, Any]:
    numbered: dict[str, Any] = {name: f"     2\t{given[name]}" for name in ("old", "new") if name in given}
    return {**given, **numbered}


def _placeholder(reply: Reply, _: Seen) -> Reply:
    """The second call writes a file of which the rest is only mentioned."""
    if not any(call.name == "replace_in_file" for call in reply.calls):
        return reply
    text = "# ... existing code ...\n\n\ndef count(prices):\n    return len(prices)\n"
    return competent.call("write_file", path="prices.py", content=text)


def _finish_tool(reply: Reply, request: Seen) -> Reply:
    if reply.calls or not request.has_tools:
        return reply
    return Reply(calls=(ToolCall("finish", reply.content or "", f"call_finish_{request.turn}"),))


def _answers() -> Iterator[Behaviour]:
    for role in ("planner", "executor"):
        yield Behaviour(f"reported, {role}'s answer: a list of parts", "vercel/ai#17784", role=role, change=_in_parts)
        yield Behaviour(
            f"reported, {role}'s answer: in the field for thinking",
            "vllm-project/vllm#30139",
            role=role,
            change=_answer_in_reasoning,
        )


def _in_parts(reply: Reply, _: Seen) -> Reply:
    if reply.calls or reply.content is None:
        return reply
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Is it done? It is."}]}
    return Reply(None, extra={"content": [thinking, {"type": "text", "text": reply.content}]})


def _answer_in_reasoning(reply: Reply, _: Seen) -> Reply:
    if reply.calls or reply.content is None:
        return reply
    return Reply(None, extra={"reasoning_content": reply.content})


def _servers() -> Iterator[Behaviour]:
    bare: Change = as_text(TEXT_FORMS["bare JSON"][1])
    cannot_parse = 'Failed to parse input at pos 395: <|tool_call_start|>[read_file(path="prices.py")]<|tool_call_end|>'
    yield Behaviour(
        "reported, server: 500 for its model's own call, once", _OLLAMA_PARSING, change=_parsing_error, first=1
    )
    yield Behaviour(
        "reported, server: 500 for calls, always",
        "ggml-org/llama.cpp#23838",
        rule=refuses(lambda body: bool(body.get("tools")), cannot_parse, "server_error", status=500),
        change=bare,
    )
    yield Behaviour(
        "reported, server: an error inside a 200, once", "BerriAI/litellm#40578", change=_error_inside, first=1
    )
    yield Behaviour(
        "reported, server: chunks without choices and without a delta",
        "microsoft/autogen#6465",
        change=_azure_chunks,
        streamed=True,
    )
    yield Behaviour(
        "reported, server: no finish_reason",
        "waybarrios/vllm-mlx#628",
        change=lambda reply, _: replace(reply, unfinished=True),
        streamed=True,
    )
    yield Behaviour(
        "reported, server: nothing, and MALFORMED_FUNCTION_CALL",
        "langchain-ai/langgraph#6574",
        change=lambda _r, _s: Reply("", finish="MALFORMED_FUNCTION_CALL"),
        first=2,
    )


def _parsing_error(reply: Reply, _: Seen) -> Reply:
    raw = reply.calls[0].arguments if reply.calls else ""
    said = f"error parsing tool call: raw='{raw}]', err=invalid character ']' after top-level value"
    return refusal(said, status=500, code="api_error")


def _error_inside(_reply: Reply, _: Seen) -> Reply:
    error = {"message": "Worker local total request limit reached (33/32)", "code": 502, "type": "provider_unavailable"}
    return Reply(raw={"error": error})


def _azure_chunks(reply: Reply, _: Seen) -> Reply:
    safe = {"hate": {"filtered": False, "severity": "safe"}}
    first = {"id": "", "object": "", "choices": [], "prompt_filter_results": [{"content_filter_results": safe}]}
    last = {"id": "", "choices": [{"index": 0, "finish_reason": None, "content_filter_results": safe}]}
    return replace(reply, before=(first,), after=(last,))
