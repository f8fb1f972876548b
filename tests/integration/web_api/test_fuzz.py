"""Whatever is sent to the API, it never answers with a server error: quickly here, and thoroughly on demand.

`ORCHESTRATOR_TEST_SCHEMATHESIS` names the program `schemathesis`, which is installed in an environment of its own; with
it the whole API is put to the test by its own description.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from orchestration.security.principal import Role
from tests.support.web import RunningWebServer

_PROGRAM = os.environ.get("ORCHESTRATOR_TEST_SCHEMATHESIS")
_EXAMPLES = os.environ.get("ORCHESTRATOR_TEST_SCHEMATHESIS_EXAMPLES", "20")
# Streams.
_ENDLESS = ("/events", "/runs/{run}/progress/stream")
_TRIES = 3
_NASTY: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        7,
        2**31,
        2**63,
        1e308,
        -1e-300,
        "",
        " ",
        "x",
        "latest",
        "P0",
        "a/b",
        "..",
        "\x00",
        "\u202e",
        "𝔘",
    ),
    *("A" * 20_000, "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-01-01", "∞"),
    *(
        [],
        [None],
        ["x"] * 300,
        {},
        {"kind": "set_log_level", "level": "LOUD"},
        {"kind": "pin_configuration"},
        ['a="b"'],
    ),
)


@pytest.fixture
def untouched(server: RunningWebServer) -> Iterator[RunningWebServer]:
    """The server; overrides that came to be are ended, so that other tests find it as it was."""
    yield server
    for override in server.app.store.overrides:
        server.portal.call(server.app.store.remove_override, override.id, "tests", "the test is over")


def test_nothing_that_is_sent_makes_a_server_error(untouched: RunningWebServer) -> None:
    dice = random.Random(20_261_125)
    client = untouched.client()
    document = client.get("/api/v1/openapi.json").json()
    failed = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for _ in range(_TRIES if path not in _ENDLESS else 0):
                request = a_request(dice, document, path, operation)
                answer = client.request(method, **request)
                if answer.status_code >= 500:
                    failed.append((method, request, answer.text))
    assert failed == []


def _reference(schema: dict[str, Any]) -> str:
    """The name of a body's schema; a body that may be left out is that schema or null."""
    (found,) = [each["$ref"] for each in (schema, *schema.get("anyOf", ())) if "$ref" in each]
    return str(found)


def a_request(dice: random.Random, document: dict[str, Any], path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """A request that is nearly right, or not at all."""
    query = {}
    for parameter in operation.get("parameters", ()):
        value = dice.choice(_NASTY)
        if parameter["in"] == "path":
            text = str(value) if not isinstance(value, str) or len(value) < 200 else "x" * 200
            path = path.replace("{" + parameter["name"] + "}", quote(text or "-", safe=""))
        elif parameter["in"] == "query" and dice.random() < 0.5:
            query[parameter["name"]] = str(value)[:500]
    request: dict[str, Any] = {"url": f"/api/v1{path}", "params": query}
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content:
        schema = document["components"]["schemas"][_reference(content["schema"]).rpartition("/")[2]]
        fields = {name: dice.choice(_NASTY) for name in schema.get("properties", {}) if dice.random() < 0.9}
        request["json"] = fields if dice.random() < 0.9 else dice.choice(_NASTY)
    if dice.random() < 0.1:
        request["headers"] = {"Idempotency-Key": dice.choice(("k", "k" * 300, "ключ")).encode()}
    return request


@pytest.mark.skipif(_PROGRAM is None, reason="on demand: ORCHESTRATOR_TEST_SCHEMATHESIS names the program")
@pytest.mark.timeout(1800)
def test_the_api_stands_up_to_its_own_description(untouched: RunningWebServer) -> None:
    token = untouched.token(Role.ADMIN)
    command = [
        str(_PROGRAM), "run", f"{untouched.url}/api/v1/openapi.json", "--checks", "not_a_server_error",
        "--max-examples", _EXAMPLES, "--exclude-path-regex", "/events$|/stream$",
        "-H", f"Authorization: Bearer {token}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stdout[-5000:]
