"""The operations of the API as its OpenAPI document names them."""

from __future__ import annotations

from collections import Counter

from fastapi.routing import APIRoute

from orchestration.web import api


def test_no_two_operations_have_the_same_name() -> None:
    """Two of one name make the document invalid, and clients that are generated from it call one of them."""
    routes = [route for module in api.ROUTERS.values() for route in module.router.routes]
    names = Counter(route.name for route in routes if isinstance(route, APIRoute))
    assert [name for name, count in names.items() if count > 1] == []
