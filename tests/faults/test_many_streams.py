"""Many streams at once through the gateway's endpoint, whose clients leave and whose providers are killed.

`python -m benchmarks.streams` does the same with a thousand for a minute.
"""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from benchmarks.streams import Clients, books, providers
from tests.support.console import free_port
from tests.support.patience import patient, until
from tests.support.project import a_project

_STREAMS = 60
_SECONDS = 4.0


def a_request(port: int, key: str, path: str) -> urllib.request.Request:
    return urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"authorization": f"Bearer {key}"})


def connections(port: int, key: str) -> set[str]:
    """The lines of the metrics about connections to providers."""
    with urllib.request.urlopen(a_request(port, key, "/metrics"), timeout=patient(60)) as answer:
        lines = answer.read().decode().splitlines()
    return {line for line in lines if line.startswith("orchestration_provider_connections{")}


def status_of_a_request(port: int, key: str) -> int:
    request = a_request(port, key, "/v1/models")
    try:
        with urllib.request.urlopen(request, timeout=patient(60)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.timeout(240)  # on a busy machine everybody waits for everybody else
def test_every_stream_is_accounted_for_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with (
        providers(0.1) as both,
        a_project(tmp_path / "p", {"first": both[0].settings, "second": both[1].settings}) as project,
    ):
        options = ("--role", "operator", "--daily-usd", "1000000")
        made = project.call_json("tokens", "create", "streams", *options)
        key, port = made["secret"], free_port()
        server = project.start("serve", "--workers", "0", "--port", str(port))
        server.wait_for("Ctrl-C stops it", seconds=90)
        pid, database = server.process.pid, project.root / "var" / "orchestrator.db"
        clients = Clients(port, key)
        # First without faults, so that some are complete however busy the machine is.
        asyncio.run(clients.run(10, 0.5))
        asyncio.run(clients.run(_STREAMS, _SECONDS, both, every=1.0))
        seen = clients.tally
        assert seen.complete, seen
        assert seen.left, seen
        assert both[0].kills, seen

        def settled() -> bool:
            found = books(database, port, pid, key)
            return found.calls >= seen.answered and not (found.slots or found.connections)

        until(settled, 60, "something was left over")
        found = books(database, port, pid, key)
        assert found.calls == seen.answered, (found, seen)
        assert found.tokens >= seen.tokens, (found, seen)
        assert seen.unanswered == 0, seen
        none = 'orchestration_provider_connections{provider="other",use="busy"} 0.0'
        until(lambda: none in connections(port, key), 30, "the metrics still show connections in use")
        # By another process: what this one has confirmed a moment ago may still be let in.
        assert status_of_a_request(port, key) == 200
        project.call("tokens", "revoke", made["token"]["id"])
        until(lambda: status_of_a_request(port, key) == 401, 15, "the token was not revoked")
        assert psutil.pid_exists(pid), server.output
