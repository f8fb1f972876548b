"""Tool calls that a model writes into its text. Pure.

The forms are those of the chat templates: JSON by itself, in a fence or between tags (Hermes, Qwen 2.5, Mistral, Llama
3.1), `<function=…>` (Llama 3.1, Qwen3-Coder), `<invoke name=…>` (Claude, MiniMax), `<arg_key>` (GLM 4.5), section marks
(Kimi K2), and calls in Python. Servers parse them if they know the model's template; many do not. Only names of tools
that were offered count, so that an example in a text is rarely taken for a call.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from orchestration.providers.dialects.json_reader import find_json
from orchestration.providers.dialects.offered_tools import OfferedTools
from orchestration.providers.dialects.thoughts import THINKING

_NAME_KEYS = ("name", "tool", "tool_name", "function", "function_name", "action", "recipient_name")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "params", "input", "action_input", "tool_input", "kwargs")
_FUNCTION = re.compile(r"<function=([\w.-]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_INVOKE = re.compile(r"<(?:\w+:)?invoke name=[\"']?([\w.-]+)[\"']?>(.*?)(?:</(?:\w+:)?invoke>|\Z)", re.DOTALL)
_PARAMETER = re.compile(
    r"<(?:\w+:)?parameter(?:=|\s+name=)[\"']?([\w.-]+)[\"']?[^>]*>(.*?)</(?:\w+:)?parameter>", re.DOTALL
)
_KEYED = re.compile(r"<tool_call>\s*([\w.-]+)\s*((?:<arg_key>.*?</arg_value>\s*)+)(?:</tool_call>|\Z)", re.DOTALL)
_KEY_AND_VALUE = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_SECTION = re.compile(
    r"<\|tool_call_begin\|>\s*([\w.:/-]+)\s*<\|tool_call_argument_begin\|>(.*?)(?:<\|tool_call_end\|>|\Z)", re.DOTALL
)
# https://cookbook.openai.com/articles/openai-harmony: a call is a message `to` a function.
_TO_FUNCTION = re.compile(
    r"(?:<\|start\|>\w+)?(?:<\|channel\|>\w+)?\s*\bto=([\w./:-]+)(?:\s|\w|<\|(?:channel|constrain)\|>){0,80}"
    r"<\|message\|>(.*?)(?:<\|(?:call|end|start)\|>|\Z)",
    re.DOTALL,
)
# DeepSeek V3 and R1: https://huggingface.co/deepseek-ai/DeepSeek-V3, its chat template; V3.1 leaves out `function`.
_BARRED = re.compile(
    r"<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?\s*([\w.:/-]+)\s*(?:<｜tool▁sep｜>)?(.*?)(?:<｜tool▁call▁end｜>|\Z)",
    re.DOTALL,
)
# Gemma 4, with texts between marks of their own: https://ai.google.dev/gemma/docs.
_GEMMA = re.compile(r"<\|tool_call>\s*call:([\w.-]+)\s*(\{.*?\})\s*(?:<tool_call\|>|\Z)", re.DOTALL)
_GEMMA_QUOTE = '<|"|>'
# ReAct (https://arxiv.org/abs/2210.03629), which models know from the prompts of many frameworks.
_REACT = re.compile(
    r"^[ \t]*Action:[ \t]*`?([\w./-]+)`?[ \t]*\n[ \t]*Action Input:[ \t]*(.*?)"
    r"(?=\n[ \t]*(?:Observation|Thought|Action|Final Answer)\b|\Z)",
    re.DOTALL | re.MULTILINE,
)
# https://docs.liquid.ai/lfm/key-concepts/tool-use: calls in Python, in a list.
_MARKED_PYTHON = re.compile(r"<\|tool_call_start\|>(.*?)(?:<\|tool_call_end\|>|\Z)", re.DOTALL)
_FORMS = (_FUNCTION, _INVOKE, _KEYED, _SECTION, _TO_FUNCTION, _BARRED, _GEMMA, _REACT)
_MARKS = re.compile(
    r"</?tool_?calls?>|</?function_calls?>|\[/?TOOL_CALLS\]|<\|python_tag\|>|<\|?/?tool_calls?\|?>|<\|tool_calls_section_\w+\|>|"
    r"<｜tool▁calls▁(?:begin|end)｜>|<\|tool_call_(?:start|end)\|>|<\|(?:eom_id|eot_id|im_end)\|>",
    re.IGNORECASE,
)
_PYTHON_FENCE = re.compile(r"\A```(?:python|py|tool_code|tool_call)?[ \t]*\n(.*?)\n?```\Z", re.DOTALL)
_FENCE = re.compile(r"```[\w+-]*")
_NAMED_PARAMETER = re.compile(r"<([\w-]+)>\n?(.*?)\n?</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TextCall:
    """A tool call that was found in a text. `arguments` is an object, or what could not be read as one."""

    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class TextCalls:
    """The calls in a text. `marked` says that the model marked them as calls; `alone` that it wrote nothing else."""

    calls: tuple[TextCall, ...] = ()
    marked: bool = False
    alone: bool = False


def find_calls(text: str, tools: OfferedTools) -> TextCalls:
    """The calls of offered tools in a text without thinking."""
    if not tools:
        return TextCalls()
    for find in (_tagged, _in_json, _in_python):
        if calls := tuple(find(text, tools)):
            return TextCalls(calls, find is _tagged or bool(_MARKS.search(text)), _is_alone(text, find, tools))
    return TextCalls()


def _tagged(text: str, tools: OfferedTools) -> Iterator[TextCall]:
    """`<function=NAME>`, `<invoke name="NAME">` and the like, with JSON or tagged parameters inside."""
    for form in _FORMS:
        for given, inside in form.findall(text):
            if (name := tools.name_of(given)) is not None:
                yield _call(tools, name, _tagged_arguments(inside))
    for given, inside in _named_tag(tools).findall(text):
        pairs = dict(_NAMED_PARAMETER.findall(inside))
        if tools.arguments_of(given, pairs or inside) is not None:
            yield _call(tools, given, pairs or inside)


def _named_tag(tools: OfferedTools) -> re.Pattern[str]:
    """`<read_file>`, as Cline's prompt wants it: the tag is the tool, and the tags inside are the parameters."""
    return re.compile(rf"<({'|'.join(map(re.escape, tools.parameters))})>(.*?)</\1>", re.DOTALL)


def _tagged_arguments(inside: str) -> Any:
    if _GEMMA_QUOTE in inside:
        parts = inside.split(_GEMMA_QUOTE)
        return "".join(json.dumps(part) if place % 2 else part for place, part in enumerate(parts))
    pairs = _PARAMETER.findall(inside) or [(key.strip(), value) for key, value in _KEY_AND_VALUE.findall(inside)]
    # A template puts one line feed around each value, which is not part of it.
    return {key: value.removeprefix("\n").removesuffix("\n") for key, value in pairs} if pairs else inside


def _in_json(text: str, tools: OfferedTools) -> Iterator[TextCall]:
    for found in find_json(text, THINKING):
        items = found.value if isinstance(found.value, list) else [found.value]
        for item in items:
            yield from _from_object(item, tools)


def _from_object(item: Any, tools: OfferedTools, depth: int = 0) -> Iterator[TextCall]:
    """`{"name": …, "arguments": …}` under any of the usual keys, or inside `function` or `tool_calls`."""
    if not isinstance(item, dict) or depth > 2:
        return
    for key in ("function", "tool_calls", "tool_call", "tool_uses"):
        inner = item.get(key)
        for one in inner if isinstance(inner, list) else [inner]:
            yield from _from_object(one, tools, depth + 1)
    given = next((item[key] for key in _NAME_KEYS if isinstance(item.get(key), str)), None)
    name = tools.name_of(given) if given else None
    if name is None:
        return
    arguments = [item[key] for key in _ARGUMENT_KEYS if key in item]
    if arguments or not set(item) - set(_NAME_KEYS) - {"id", "type"}:
        yield _call(tools, name, arguments[0] if arguments else {})


def _in_python(text: str, tools: OfferedTools) -> Iterator[TextCall]:
    """`read_file(path="a.py")`, where it is marked or the text is nothing else: anywhere else it may be an example."""
    content = "\n".join(_MARKED_PYTHON.findall(text)) or text.strip()
    if fenced := _PYTHON_FENCE.match(content):
        content = fenced.group(1)
    try:
        lines = ast.parse(_MARKS.sub("", content).strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    values = [value for line in lines for value in _values(line)]
    calls = [_from_python(value, tools) for value in values]
    if all(calls):
        yield from (call for call in calls if call)


def _values(line: ast.stmt) -> list[ast.expr | None]:
    """What a line consists of: one value, or those of a list."""
    if not isinstance(line, ast.Expr):
        return [None]
    return list(line.value.elts) if isinstance(line.value, ast.List) else [line.value]


def _from_python(value: ast.expr | None, tools: OfferedTools) -> TextCall | None:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "print" and value.args:
        value = value.args[0]
    if not isinstance(value, ast.Call) or value.args or not isinstance(value.func, ast.Name | ast.Attribute):
        return None
    name = tools.name_of(ast.unparse(value.func))
    try:
        arguments = {item.arg: ast.literal_eval(item.value) for item in value.keywords}
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return TextCall(name, arguments) if name and None not in arguments else None


def _call(tools: OfferedTools, name: str, given: Any) -> TextCall:
    arguments = tools.arguments_of(name, given)
    return TextCall(name, given if arguments is None else arguments)


def _is_alone(text: str, find: Callable[[str, OfferedTools], Iterator[TextCall]], tools: OfferedTools) -> bool:
    """Whether nothing is left of a text without its calls and the marks and fences around them."""
    if find is _in_python:
        return not _MARKED_PYTHON.sub("", text).strip() or not _MARKED_PYTHON.search(text)
    rest = text
    for form in (*_FORMS, _named_tag(tools)):
        rest = form.sub("", rest)
    rest = _MARKS.sub("", rest)
    places = [(found.start, found.end) for found in find_json(rest)]
    for start, end in reversed(places):
        rest = rest[:start] + rest[end:]
    return not _FENCE.sub("", rest).strip(" \t\n,;")
