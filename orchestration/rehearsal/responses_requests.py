"""Requests of OpenAI's Responses API, as far as the rehearsal model reads them; other fields are ignored."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from orchestration.rehearsal.requests import (
    WireChatRequest,
    WireContentPart,
    WireFunction,
    WireMessage,
    WireTool,
    WireToolCall,
)


class ResponsesItem(BaseModel):
    """One item of the conversation: a message, a call, the result of one, or a thought."""

    type: str = "message"
    role: str = ""
    content: str | list[WireContentPart] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | list[WireContentPart] = ""

    def as_chat(self) -> WireMessage | None:
        """The item in the chat format; None for a thought."""
        match self.type:
            case "message":
                return WireMessage(role=self.role, content=self.content)
            case "function_call":
                function = WireFunction(name=self.name, arguments=self.arguments)
                return WireMessage(role="assistant", tool_calls=[WireToolCall(id=self.call_id, function=function)])
            case "function_call_output":
                return WireMessage(role="tool", content=self.output, tool_call_id=self.call_id)
            case _:
                return None


class ResponsesTool(BaseModel):
    """A tool that the client offers."""

    name: str


class WireResponsesRequest(BaseModel):
    """`POST /v1/responses`."""

    model: str
    input: str | list[ResponsesItem]
    instructions: str | None = None
    stream: bool = False
    tools: list[ResponsesTool] | None = None
    text: dict[str, Any] = Field(default_factory=dict)
    include: list[str] = Field(default_factory=list)

    def as_chat(self) -> WireChatRequest:
        """The request in the chat format, which the scenes read."""
        items = [ResponsesItem(role="user", content=self.input)] if isinstance(self.input, str) else self.input
        head = [WireMessage(role="system", content=self.instructions)] if self.instructions else []
        form = self.text.get("format") or {}
        wanted = {"type": form.get("type", "text"), "json_schema": {"schema": form.get("schema", {"type": "object"})}}
        return WireChatRequest.model_validate(
            {
                "model": self.model,
                "messages": [*head, *(message for item in items if (message := item.as_chat()) is not None)],
                "stream": self.stream,
                "tools": [WireTool(function=WireFunction(name=tool.name)) for tool in self.tools or ()],
                "response_format": wanted,
            }
        )
