"""What a tool of a server has answered, as text for a model. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from mcp_types import AudioContent, CallToolResult, EmbeddedResource, ImageContent, TextContent, TextResourceContents

from orchestration.agents.mcp.inspection import visible


def text_of(answer: CallToolResult) -> str:
    """The texts of an answer, without what nobody sees; of what is no text, what it is. An answer that has only
    structured content is that as JSON."""
    parts = [part for part in _parts(answer) if part]
    if not parts and answer.structured_content is not None:
        parts = [json.dumps(answer.structured_content, ensure_ascii=False)]
    return visible("\n".join(parts)) or "(no text)"


def _parts(answer: CallToolResult) -> Iterator[str]:
    for block in answer.content:
        match block:
            case TextContent():
                yield block.text
            case ImageContent() | AudioContent():
                yield f"[{block.mime_type}, {len(block.data) * 3 // 4:,} bytes, not shown]"
            case EmbeddedResource(resource=TextResourceContents() as resource):
                yield resource.text
            case EmbeddedResource():
                yield f"[{block.resource.mime_type or 'bytes'} of {block.resource.uri}, not shown]"
            case _:
                yield f"[a link to {block.uri}]"
