"""Chat requests in the two wire formats, as far as the rehearsal model reads them; other fields are ignored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field


class WireFunction(BaseModel):
    """A tool's name, and in a call its arguments: JSON text in the OpenAI format, an object in Ollama's."""

    name: str
    arguments: str | dict[str, Any] = ""

    def parsed(self) -> Mapping[str, Any]:
        """The arguments; empty unless they are a JSON object."""
        if isinstance(self.arguments, dict):
            return self.arguments
        try:
            # The client sends the broken call of a faulty answer back as history, and the conversation has to go on.
            arguments = json.loads(self.arguments)
        except ValueError:
            return {}
        return arguments if isinstance(arguments, dict) else {}


class WireToolCall(BaseModel):
    """A tool call of an earlier answer; older Ollama clients send no id."""

    id: str | None = None
    function: WireFunction


class WireTool(BaseModel):
    """A tool that the client offers."""

    function: WireFunction


class WireContentPart(BaseModel):
    """A piece of a message; only texts are read."""

    text: str = ""


class WireMessage(BaseModel):
    """One message of the conversation."""

    role: str
    content: str | list[WireContentPart] | None = None
    tool_calls: list[WireToolCall] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class SchemaFormat(BaseModel):
    """The schema inside `response_format`; OpenAI calls it `json_schema.schema`."""

    content: dict[str, Any] = Field(default={"type": "object"}, alias="schema")


class ResponseFormat(BaseModel):
    """The format that the answer must have."""

    type: str = "text"
    # `{"type": "json_object"}` asks for JSON without naming a schema:
    # https://platform.openai.com/docs/api-reference/chat/create
    json_schema: SchemaFormat = SchemaFormat()


class StreamOptions(BaseModel):
    """Whether a stream ends with a chunk that counts the tokens."""

    include_usage: bool = False


class WireChatRequest(BaseModel):
    """`POST /v1/chat/completions`."""

    model: str
    messages: list[WireMessage] = Field(min_length=1)
    stream: bool = False
    tools: list[WireTool] | None = None
    response_format: ResponseFormat | None = None
    stream_options: StreamOptions | None = None

    @property
    def schema_wanted(self) -> Mapping[str, Any] | None:
        """The JSON schema that the answer has to match, None for free text."""
        if self.response_format is None or self.response_format.type == "text":
            return None
        return self.response_format.json_schema.content


class OllamaChatRequest(WireChatRequest):
    """`POST /api/chat`, which streams by default and names the schema `format`."""

    stream: bool = True
    format: dict[str, Any] | str | None = None

    @property
    def schema_wanted(self) -> Mapping[str, Any] | None:
        # Ollama takes a schema here, or the word `json` for any JSON:
        # https://docs.ollama.com/capabilities/structured-outputs
        if isinstance(self.format, dict):
            return self.format
        return {"type": "object"} if self.format else None
