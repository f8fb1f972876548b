"""Requests for embeddings, and their answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.providers.wire import Completion
from orchestration.web.gateway.completions import usage_body
from orchestration.web.gateway.errors import BadRequestError
from orchestration.web.gateway.requests import check_model, parse_object

_NOT_FORWARDED = frozenset({"model", "user"})


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """A valid request. Only providers with the very model may answer: vectors of different models have nothing to do
    with each other."""

    body: Mapping[str, Any]
    model: str
    only: bool


def parse_embeddings_request(
    body: bytes, headers: Mapping[str, str], deployment: str | None = None
) -> EmbeddingsRequest:
    """The request in an HTTP body; `deployment` is the model in an address of Azure's kind. Raises BadRequestError."""
    return embeddings_request(parse_object(body), headers, deployment)


def embeddings_request(
    data: Mapping[str, Any], headers: Mapping[str, str], deployment: str | None = None
) -> EmbeddingsRequest:
    """The request in an object. Raises BadRequestError."""
    model = deployment or data.get("model")
    check_model(model)
    if not _is_input(data.get("input")):
        raise BadRequestError("`input` must be a text, a list of texts, or tokens as whole numbers.")
    return EmbeddingsRequest(
        body={name: value for name, value in data.items() if name not in _NOT_FORWARDED and value is not None},
        model=str(model),
        only=headers.get("x-orchestrator-only", "").lower() == "true",
    )


def embeddings_body(completion: Completion) -> dict[str, Any]:
    """The answer, with all that the provider has sent."""
    answer = {**completion.extra, "object": "list", "model": str(completion.route), "usage": usage_body(completion)}
    return answer | ({"rehearsal": True} if completion.rehearsal else {})


def _is_input(value: object) -> bool:
    if isinstance(value, str):
        return bool(value)
    if not isinstance(value, list) or not value:
        return False
    kinds = {type(one) for one in value}
    return kinds <= {str} or kinds <= {int} or (kinds <= {list} and all(map(_is_input, value)))
