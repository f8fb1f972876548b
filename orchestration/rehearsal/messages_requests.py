"""Requests of Anthropic's Messages API, as far as the rehearsal model reads them; other fields are ignored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, Field

from orchestration.rehearsal.requests import WireChatRequest, WireFunction, WireMessage, WireTool, WireToolCall


class MessagesBlock(BaseModel):
    """A block of a message. A tool's result has a `content` of its own."""

    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] = Field(default_factory=dict)
    tool_use_id: str = ""
    content: str | list[MessagesBlock] | None = None

    @property
    def inner_text(self) -> str:
        if isinstance(self.content, list):
            return "".join(block.text for block in self.content)
        return self.content or ""


class ConversationMessage(BaseModel):
    """One turn of the conversation."""

    role: str
    content: str | list[MessagesBlock]

    def as_chat(self) -> Iterator[WireMessage]:
        """The turn in the chat format, where each result of a tool is a message."""
        if isinstance(self.content, str):
            yield WireMessage(role=self.role, content=self.content)
            return
        for block in self.content:
            if block.type == "tool_result":
                yield WireMessage(role="tool", content=block.inner_text, tool_call_id=block.tool_use_id)
        text = "".join(block.text for block in self.content if block.type == "text")
        functions = {
            block.id: WireFunction(name=block.name, arguments=block.input) for block in self.content if block.id
        }
        calls = [WireToolCall(id=identifier, function=function) for identifier, function in functions.items()]
        if text or calls:
            yield WireMessage(role=self.role, content=text, tool_calls=calls or None)


class MessagesTool(BaseModel):
    """A tool that the client offers."""

    name: str


class MessagesRequest(BaseModel):
    """`POST /v1/messages`."""

    model: str
    max_tokens: int = Field(gt=0)
    messages: list[ConversationMessage] = Field(min_length=1)
    system: str | list[MessagesBlock] = ""
    stream: bool = False
    tools: list[MessagesTool] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None

    @property
    def thinks(self) -> bool:
        return (self.thinking or {}).get("type") in ("enabled", "adaptive")

    def as_chat(self) -> WireChatRequest:
        """The request in the chat format, which the scenes read."""
        system = self.system if isinstance(self.system, str) else "".join(block.text for block in self.system)
        messages = [message for turn in self.messages for message in turn.as_chat()]
        form = (self.output_config or {}).get("format") or {}
        wanted = {"type": "json_schema", "json_schema": {"schema": form["schema"]}} if form.get("schema") else None
        return WireChatRequest.model_validate(
            {
                "model": self.model,
                "messages": [*([WireMessage(role="system", content=system)] if system else []), *messages],
                "stream": self.stream,
                "tools": [WireTool(function=WireFunction(name=tool.name)) for tool in self.tools or ()],
                "response_format": wanted,
            }
        )
