"""The server itself, whichever way it is reached."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

import httpx2
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)

from orchestration.web.mcp.operations import ApiOperation, operations_of

Context: TypeAlias = "ServerRequestContext[Any]"
ClientOf: TypeAlias = Callable[[Context], httpx2.AsyncClient]
"""The client of the API with the caller's own rights."""

_SCHEME = "orchestrator://"
_PREFIX = "/api/v1"
_LISTED = 20
# What a resource may be: these paths of the API, read with the caller's rights.
_TEMPLATES = {
    "runs/{run}": "A run with its progress, agents, documents and open questions.",
    "runs/{run}/events": "What has happened in a run.",
    "runs/{run}/artifacts/{name}": "A document that a run has delivered.",
    "incidents/{incident}": "An incident with its timeline.",
    "incidents/{incident}/review": "The post-incident review, as Markdown.",
    "playbooks/{playbook}": "A playbook.",
    "playbooks/{playbook}/runbook": "A playbook as text for people.",
}
_INSTRUCTIONS = (
    "Runs, incidents, playbooks and approvals of an agent orchestration system. Every call is made with the rights of "
    "your token, and every change is recorded in the audit trail. Identifiers may be shortened to a unique end; "
    "`latest` is the newest."
)


def build_server(openapi: Mapping[str, Any], client_of: ClientOf) -> Server[Any]:
    """The server for an API of that description."""
    handlers = _Handlers({one.name: one for one in operations_of(openapi)}, client_of)
    return Server(
        "orchestrator",
        version=version("agent-orchestration"),
        instructions=_INSTRUCTIONS,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_resources=handlers.list_resources,
        on_list_resource_templates=handlers.list_templates,
        on_read_resource=handlers.read_resource,
    )


class _Handlers:
    def __init__(self, operations: Mapping[str, ApiOperation], client_of: ClientOf) -> None:
        self._operations = operations
        self._client_of = client_of

    async def list_tools(self, _context: Context, _parameters: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_tool(one) for one in self._operations.values()])

    async def call_tool(self, context: Context, parameters: CallToolRequestParams) -> CallToolResult:
        operation = self._operations.get(parameters.name)
        if operation is None:
            raise MCPError(INVALID_PARAMS, f"There is no tool '{parameters.name}'.")
        try:
            request = operation.request(parameters.arguments or {})
        except ValueError as error:
            return _said(str(error), is_error=True)
        # A key of its own for each call: a request that is repeated on the way is carried out once.
        headers = {} if operation.reads_only else {"Idempotency-Key": secrets.token_hex(16)}
        async with self._client_of(context) as client:
            response = await client.request(
                request.method, _PREFIX + request.path, params=list(request.query), json=request.body, headers=headers
            )
        return _said(_text(response), is_error=response.status_code >= 400)

    async def list_resources(self, context: Context, _parameters: PaginatedRequestParams | None) -> ListResourcesResult:
        async with self._client_of(context) as client:
            runs = _items(await client.get(f"{_PREFIX}/runs", params={"limit": _LISTED}))
            incidents = _items(await client.get(f"{_PREFIX}/incidents", params={"limit": _LISTED}))
        return ListResourcesResult(
            resources=[
                *(_resource(f"runs/{one['id']}", f"{one['status']}: {one['goal'][:80]}") for one in runs),
                *(_resource(f"incidents/{one['id']}", f"{one['severity']} {one['title'][:80]}") for one in incidents),
            ]
        )

    async def list_templates(
        self, _context: Context, _parameters: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(
            resource_templates=[
                ResourceTemplate(name=path, uri_template=_SCHEME + path, description=about)
                for path, about in _TEMPLATES.items()
            ]
        )

    async def read_resource(self, context: Context, parameters: ReadResourceRequestParams) -> ReadResourceResult:
        path = _path_of(str(parameters.uri))
        if path is None:
            raise MCPError(INVALID_PARAMS, f"There is no resource of this kind; there are: {', '.join(_TEMPLATES)}.")
        async with self._client_of(context) as client:
            response = await client.get(f"{_PREFIX}/{path}")
        if response.status_code >= 400:
            raise MCPError(INVALID_PARAMS, _text(response))
        kind = "application/json" if _is_json(response) else "text/plain"
        contents = TextResourceContents(uri=str(parameters.uri), mime_type=kind, text=_text(response))
        return ReadResourceResult(contents=[contents])


def _tool(operation: ApiOperation) -> Tool:
    return Tool(
        name=operation.name,
        description=operation.description,
        input_schema=dict(operation.parameters),
        annotations=ToolAnnotations(read_only_hint=operation.reads_only, open_world_hint=False),
    )


def _resource(path: str, about: str) -> Resource:
    return Resource(name=path, uri=_SCHEME + path, description=about, mime_type="application/json")


def _path_of(uri: str) -> str | None:
    """The path of the API that a resource is; None for any other address."""
    if not uri.startswith(_SCHEME):
        return None
    parts = uri.removeprefix(_SCHEME).split("/")
    for template in _TEMPLATES:
        wanted = template.split("/")
        # The name of a document may have folders in it, and is the last part.
        given = [*parts[: len(wanted) - 1], "/".join(parts[len(wanted) - 1 :])] if "{name}" in template else parts
        if len(given) == len(wanted) and all(
            one == two or (two.startswith("{") and one) for one, two in zip(given, wanted, strict=True)
        ):
            return "/".join(quote(unquote(one), safe="/" if "{name}" in template else "") for one in given)
    return None


def _items(response: httpx2.Response) -> Sequence[Mapping[str, Any]]:
    """The items of a list; none where the caller may not read it."""
    return response.json()["items"] if response.status_code == 200 else []


def _is_json(response: httpx2.Response) -> bool:
    return "json" in response.headers.get("content-type", "")


def _text(response: httpx2.Response) -> str:
    """What the API said; of an error, its sentence."""
    if not _is_json(response):
        return response.text
    found = response.json()
    if response.status_code >= 400 and isinstance(found, dict):
        return str(found.get("detail") or found)
    return json.dumps(found, indent=1, ensure_ascii=False)


def _said(text: str, *, is_error: bool) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text or "done")], is_error=is_error)
