"""What one route understands, learned from what it refuses. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from orchestration.providers.dialects.prompt_cache import CACHE_KEY, CACHE_MARK
from orchestration.providers.failures import Failure


class ToolForm(StrEnum):
    """How tools are offered: in the request's `tools`, or described in words and called in the text."""

    NATIVE = "native"
    TEXT = "text"


class AnswerForm(StrEnum):
    """How the form of an answer is asked for, the strictest first."""

    SCHEMA = "json_schema"
    OBJECT = "json_object"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How requests are put to a route. `merged_roles`: the roles of messages alternate, `system_role`: there is one for
    instructions, `plain_ids`: tool calls have ids of nine letters and digits, as Mistral's API demands. `left_out` are
    the parameters that the model refuses, `completion_tokens`: it wants `max_completion_tokens` for `max_tokens`."""

    tools: ToolForm = ToolForm.NATIVE
    answer: AnswerForm = AnswerForm.SCHEMA
    merged_roles: bool = False
    system_role: bool = True
    plain_ids: bool = False
    left_out: frozenset[str] = frozenset()
    completion_tokens: bool = False

    def spelled_out(self) -> Dialect:
        """The same with tools and answers in words: another way for a model that gets the usual forms wrong."""
        return replace(self, tools=ToolForm.TEXT, answer=AnswerForm.WORDS)


def combined(one: Dialect, other: Dialect) -> Dialect:
    """What a route understands for which both were learned."""
    forms = tuple(AnswerForm)
    return Dialect(
        tools=ToolForm.TEXT if ToolForm.TEXT in (one.tools, other.tools) else ToolForm.NATIVE,
        answer=max(one.answer, other.answer, key=forms.index),
        merged_roles=one.merged_roles or other.merged_roles,
        system_role=one.system_role and other.system_role,
        plain_ids=one.plain_ids or other.plain_ids,
        left_out=one.left_out | other.left_out,
        completion_tokens=one.completion_tokens or other.completion_tokens,
    )


_LOWER_ANSWER = {AnswerForm.SCHEMA: AnswerForm.OBJECT, AnswerForm.OBJECT: AnswerForm.WORDS}
# Servers have no codes for these. The words are those of Ollama ("does not support tools"), vLLM ("requires
# --enable-auto-tool-choice"), OpenRouter ("No endpoints found that support tool use"), llama.cpp ("Unsupported param:
# tools", "tools param requires --jinja flag"; status 500), DeepSeek ("This response_format type is unavailable now"),
# Groq ("response_format.type: value is not one of the allowed values") and of chat templates ("Conversation roles must
# alternate", "System role not supported").
_TOOLS = re.compile(r"(?i)\btools?\b|\btool_choice\b|function.?call|tool.?(?:use|call)")
_ANSWER_FORM = re.compile(r"(?i)response_?format|json_?schema|json_object|structured.?output|guided_json|grammar")
_ROLES = re.compile(r"(?i)roles? must alternate|alternate user|consecutive (?:user|assistant|messages)|same role")
_SYSTEM = re.compile(r"(?i)system.{0,20}(?:role|message|prompt|instruction).{0,30}not (?:supported|enabled|allowed)")
_IDS = re.compile(r"(?i)tool.?call.?id.{0,80}(?:length|a-z)")
# OpenAI's models that think: "Unsupported parameter: 'max_tokens' is not supported with this model. Use
# 'max_completion_tokens' instead.", "Unsupported value: 'temperature' does not support 0.2 with this model."
_PARAMETER = re.compile(
    r"(?i)unsupported (?:parameter|value):? ['\"`]?(\w+)|(?:unknown|unrecognized) [\w ]+:? ['\"`](\w+)"
)
_PARAMETERS = frozenset(
    {"temperature", "top_p", "max_tokens", "max_completion_tokens", "reasoning_effort", CACHE_KEY, CACHE_MARK}
    | {"parallel_tool_calls", "verbosity"}
)
# vLLM, Fireworks and NVIDIA: "Extra inputs are not permitted, field: 'prompt_cache_key'", or in a list.
_EXTRA = re.compile(r"(?i)extra (?:inputs|fields)|extra_forbidden|additional properties")
# A server that knows texts only, and no parts of a message: "messages.0.content: Input should be a valid string".
_NO_PARTS = re.compile(r"(?i)content.{0,80}(?:should be|must be|expected|valid).{0,20}str")
_ADAPTIVE = re.compile(r"(?i)\badaptive\b")
# "Invalid `signature` in `thinking` block", "`thinking` or `redacted_thinking` blocks in the latest assistant message
# cannot be modified"; "The encrypted content … could not be verified", "Item 'rs_1' of type 'reasoning' was provided
# without its required following item".
_THOUGHTS = re.compile(
    r"(?i)signature\W+(?:in|of)\W+(?:a\W+)?thinking|thinking.?\.signature|thinking\W+blocks.{0,200}cannot be modified"
    r"|encrypted.content.{0,400}(?:verified|decrypted)|of type 'reasoning'"
)
_USAGE = re.compile(r"stream_?options|include_usage")
_UNABLE = re.compile(
    r"(?i)support|unavailable|not available|not allowed|allowed values|invalid|unknown|unrecognized|unexpected"
    r"|requires?|extra inputs|not permitted|not enabled|disabled|unable"
)
_STATUSES = frozenset({400, 404, 405, 415, 422, 500, 501})
# A server that cannot read its own model's call. llama.cpp: "Failed to parse input at pos 395: <|tool_call_start|>…";
# Ollama: "error parsing tool call: raw='…', err=invalid character". The next answer may be better.
_UNREAD_CALL = re.compile(r"(?i)failed to parse (?:input|tool)|error parsing tool call")


def stepped_down(dialect: Dialect, failure: Failure, body: Mapping[str, Any]) -> Dialect | None:
    """The dialect to repeat a refused request in; None if the refusal is about something else."""
    if failure.status not in _STATUSES:
        return None
    if parameter := _refused_parameter(failure.message, body):
        return _without(dialect, parameter, failure.message)
    for applies, lower in _STEPS:
        if applies(dialect, failure.message, body):
            return lower(dialect)
    return None


def optional_left_out(
    dialect: Dialect, failure: Failure, body: Mapping[str, Any], optional: frozenset[str]
) -> Dialect | None:
    """The dialect without the optional field that a request was refused for; None if that was for something else."""
    if failure.status not in _STATUSES:
        return None
    parameter = _refused_parameter(failure.message, {name: body[name] for name in optional & body.keys()})
    return _without(dialect, parameter, failure.message) if parameter else None


def without_optional(body: Mapping[str, Any], dialect: Dialect, optional: frozenset[str]) -> Mapping[str, Any]:
    """The request without the optional fields that the model refuses."""
    dropped = dialect.left_out & optional & body.keys()
    changed = {name: value for name, value in body.items() if name not in dropped} if dropped else body
    if dialect.completion_tokens and "max_tokens" in optional & changed.keys():
        rest = {name: value for name, value in changed.items() if name != "max_tokens"}
        return {**rest, "max_completion_tokens": changed["max_tokens"]}
    return changed


def cannot_read_its_model(status: int, message: str) -> bool:
    """Whether a server says that it could not read what its model wrote."""
    return status >= 500 and bool(_UNREAD_CALL.search(message))


def refuses_usage(failure: Failure) -> bool:
    """Whether a server does not know the field that asks for token counts in a stream."""
    return failure.status in _STATUSES and bool(_USAGE.search(failure.message))


def refuses_adaptive_thinking(failure: Failure) -> bool:
    """Whether a model of Anthropic's says that it is from before adaptive thinking."""
    return failure.status == HTTPStatus.BAD_REQUEST and bool(_ADAPTIVE.search(failure.message))


def refuses_thoughts(failure: Failure) -> bool:
    """Whether sealed thoughts of earlier answers were refused: they are of another model or account, or changed."""
    return failure.status == HTTPStatus.BAD_REQUEST and bool(_THOUGHTS.search(failure.message))


def _refused_parameter(message: str, body: Mapping[str, Any]) -> str:
    """The parameter of a request that a server refuses; an empty text if it is about something else."""
    asked = _PARAMETERS & body.keys()
    found = _PARAMETER.search(message)
    name = (found.group(1) or found.group(2)) if found else ""
    if name in asked:
        return name
    if CACHE_MARK in asked and _NO_PARTS.search(message):
        return CACHE_MARK
    if not _EXTRA.search(message):
        asked &= {CACHE_KEY, CACHE_MARK} if _UNABLE.search(message) else set()
    return next((name for name in sorted(asked) if name in message), "")


def _without(dialect: Dialect, parameter: str, message: str) -> Dialect | None:
    if parameter == "max_tokens" and not dialect.completion_tokens and "max_completion_tokens" in message:
        return replace(dialect, completion_tokens=True)
    return None if parameter in dialect.left_out else replace(dialect, left_out=dialect.left_out | {parameter})


def _refuses_answer_form(dialect: Dialect, message: str, body: Mapping[str, Any]) -> bool:
    asked = "response_format" in body and dialect.answer in _LOWER_ANSWER
    return asked and bool(_ANSWER_FORM.search(message) and _UNABLE.search(message))


def _refuses_tools(dialect: Dialect, message: str, body: Mapping[str, Any]) -> bool:
    offered = bool(body.get("tools")) and dialect.tools is ToolForm.NATIVE
    refused = _TOOLS.search(message) and _UNABLE.search(message) and not _IDS.search(message)
    return offered and bool(refused or _UNREAD_CALL.search(message))


def _refuses_roles(dialect: Dialect, message: str, _: Mapping[str, Any]) -> bool:
    return not dialect.merged_roles and bool(_ROLES.search(message))


def _refuses_system(dialect: Dialect, message: str, _: Mapping[str, Any]) -> bool:
    return dialect.system_role and bool(_SYSTEM.search(message))


def _refuses_ids(dialect: Dialect, message: str, _: Mapping[str, Any]) -> bool:
    return not dialect.plain_ids and bool(_IDS.search(message))


_Applies = Callable[[Dialect, str, Mapping[str, Any]], bool]
_Lower = Callable[[Dialect], Dialect]
_STEPS: tuple[tuple[_Applies, _Lower], ...] = (
    (_refuses_answer_form, lambda dialect: replace(dialect, answer=_LOWER_ANSWER[dialect.answer])),
    (_refuses_ids, lambda dialect: replace(dialect, plain_ids=True)),
    (_refuses_roles, lambda dialect: replace(dialect, merged_roles=True)),
    (_refuses_system, lambda dialect: replace(dialect, system_role=False)),
    (_refuses_tools, lambda dialect: replace(dialect, tools=ToolForm.TEXT)),
)
