"""API routes built from commands: the command itself is the request body."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel, TypeAdapter, create_model

from orchestration.commands.command import Command, CommandField
from orchestration.security.principal import Principal
from orchestration.web.api.services import ApiServices, Caller, Name, Services, requires

C = TypeVar("C", bound=Command)
# Gives a command to the incident or run that a text names.
Give = Callable[[ApiServices, Principal, str, C], Awaitable[Any]]


def prepare_result(kind: type) -> None:
    """Let all routes that return this dataclass share its schema.

    Pydantic keeps the schemas of its own classes only. To make that of an incident takes longer than all else about a
    route, and two dozen commands return one.
    """
    # Where pydantic looks for it, and keeps it for dataclasses of its own.
    kind.__pydantic_core_schema__ = TypeAdapter(kind).core_schema  # type: ignore[attr-defined]


def add_command(router: APIRouter, noun: str, command: type[C], give: Give[C], result: type) -> None:
    """Add the route of one command, if people can give it through the API. `noun` is `incident` or `run`, and `result`
    the type of what `give` returns."""
    _add_route(router, f"{noun}s", f"/{{{noun}}}", command, _endpoint(command, noun, give, result))


def add_opening_command(
    router: APIRouter,
    area: str,
    command: type[C],
    give: Callable[[ApiServices, Principal, C], Awaitable[Any]],
    result: type,
) -> None:
    """Add the route of a command that opens something, such as an incident; its path is that of all of them."""

    async def give_it(services: ApiServices, caller: Principal, _: str, value: C) -> Any:
        return await give(services, caller, value)

    _add_route(router, area, "", command, _endpoint(command, None, give_it, result))


def _add_route(
    router: APIRouter, area: str, subject: str, command: type[Command], endpoint: Callable[..., Awaitable[Any]]
) -> None:
    spec = command.spec
    if spec.api is None:
        return
    router.add_api_route(
        f"/{area}{subject}{spec.api.path and '/'}{spec.api.path}",
        endpoint,
        methods=[spec.api.method],
        name=spec.api.operation,
        description=spec.summary,
        status_code=spec.api.status,
        dependencies=requires(spec.role, area),
    )


def _endpoint(command: type[C], noun: str | None, give: Give[C], result: type) -> Callable[..., Awaitable[Any]]:
    """A function that gives the command; its signature tells FastAPI what to read from path and body. `noun` is what
    the command works on, if it is there already."""
    in_path = [field for field in command.fields() if field.input.in_path]
    in_body = [field for field in command.fields() if not field.input.in_path]

    async def endpoint(services: Services, caller: Caller, **values: Any) -> Any:
        subject, body = values.pop(noun or "", ""), values.pop("body", None)
        sent = {} if body is None else {field.name: getattr(body, field.name) for field in in_body}
        return await give(services, caller, subject, command(**sent, **values))

    parameters = {
        "services": Services,
        "caller": Caller,
        **({noun: Name} if noun else {}),
        **{field.name: field.annotation for field in in_path},
    }
    body = _body(command, in_body, whole=not in_path) if in_body else {}
    # FastAPI derives validation and documentation from the signature, so each route needs one of its own.
    endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            *(_parameter(name, kind) for name, kind in parameters.items()),
            *(_parameter("body", kind, default) for kind, default in body.items()),
        ],
        return_annotation=result,
    )
    return endpoint


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _body(command: type[Command], fields: Sequence[CommandField], *, whole: bool) -> Mapping[Any, Any]:
    """The type of the body with its default: the command itself if all of its fields are in the body. A body without
    any required field may be left out."""
    kind: Any = command if whole else _model(command, fields)
    if any(field.required for field in fields):
        return {kind: inspect.Parameter.empty}
    return {kind | None: None}


def _model(command: type[Command], fields: Sequence[CommandField]) -> type[BaseModel]:
    """The fields that are not in the path, as a model of their own."""
    values: dict[str, Any] = {
        field.name: (field.annotation, ... if field.required else field.default) for field in fields
    }
    return create_model(command.__name__, __doc__=command.__doc__, **values)
