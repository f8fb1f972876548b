"""The duty to rotate a credential, probed at a real server until the vendor refuses the value."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse

from orchestration.domain.duty import DutyKind, DutyRequest, DutyState
from orchestration.domain.run_status import RunStatus
from orchestration.domain.scenario import Scenario
from orchestration.playbooks.credential_watch import CredentialWatch
from orchestration.storage.runs import Run
from tests.support.credential_vendors import VendorServer, github, vendor_server
from tests.support.response import Ward, a_ward

OLD, NEW = "ghp_" + "a1B2" * 9, "ghp_" + "c3D4" * 9


@asynccontextmanager
async def an_exposure(tmp_path: Path, *, text: str = OLD) -> AsyncIterator[tuple[Ward, VendorServer, CredentialWatch]]:
    """An incident about a file that holds a value of `.env`, with the duty that its alert opens."""
    (tmp_path / ".env").write_text(f"VENDOR_TOKEN={OLD}\n")
    async with vendor_server(github, OLD) as server:
        revokers = {"main": {"vendor": "github", "variables": ["VENDOR_TOKEN"], "baseUrl": server.url}}
        monitoring = {"credentialProbeSeconds": 0.01}
        async with a_ward(tmp_path, revokers=revokers, monitoring=monitoring) as ward:
            now = ward.app.clock.now()
            ward.app.runs.add(Run("run-1", "mend it", str(ward.root / "work"), now, RunStatus.SUCCEEDED))
            ward.app.artifacts.write("run-1", "notes.md", f"the key is {text}\n", "executor")
            kind = "github-token"
            duty = DutyRequest(DutyKind.ROTATE_CREDENTIAL, f"{kind} in artifacts/run-1/notes.md", "rotate it")
            ward.declare(Scenario.SECURITY_ALERT, runs=["run-1"], duties=(duty,))
            yield ward, server, CredentialWatch(ward.services)


def duty_of(ward: Ward) -> Any:
    (duty,) = ward.services.incidents.get(ward.incident.id).duties
    return duty


def notes(ward: Ward) -> list[str]:
    entries = ward.services.incidents.entries(ward.incident.id)
    return [str(entry.data["text"]) for entry in entries if entry.kind == "noted"]


async def rounds(ward: Ward, watch: CredentialWatch, count: int) -> None:
    for _ in range(count):
        await watch.sweep()
        await ward.app.clock.sleep(0.02)


async def test_the_duty_ends_when_the_old_value_is_refused_twice_although_env_has_a_new_one(tmp_path: Path) -> None:
    async with an_exposure(tmp_path) as (ward, server, watch):
        await rounds(ward, watch, 1)
        await ward.run("security.quarantine", artifacts=["run-1/notes.md"])
        ward.write_env(VENDOR_TOKEN=NEW)
        server.valid.add(NEW)
        await rounds(ward, watch, 1)
        assert duty_of(ward).is_open
        (note,) = notes(ward)  # one for each change of the answer
        assert "the exposed value is accepted: VENDOR_TOKEN: GitHub answered 200" in note
        server.valid = {NEW}
        later = CredentialWatch(ward.services)  # a restart in between
        await rounds(ward, later, 1)
        assert duty_of(ward).is_open  # one refusal may be a fault of the vendor's sign-in
        await rounds(ward, later, 3)
        duty = duty_of(ward)
        assert duty.state is DutyState.DONE
        assert "401 Bad credentials" in duty.evidence
        assert {one.bearer for one in server.received} == {OLD}
        assert OLD not in str(ward.services.incidents.entries(ward.incident.id))


async def test_no_answer_proves_nothing_and_is_asked_less_and_less_often(tmp_path: Path) -> None:
    async with an_exposure(tmp_path) as (ward, server, watch):
        server.upset = lambda _: JSONResponse({}, 503)
        await rounds(ward, watch, 8)
        assert duty_of(ward).is_open
        assert len(server.received) < 8
        server.upset = lambda _: JSONResponse({"message": "Proxy"}, 401)
        await rounds(ward, watch, 8)
        assert duty_of(ward).is_open
        before = len(server.received)
        # A refusal, then an acceptance: not refused in a row.
        server.upset, server.valid = None, set()
        later = CredentialWatch(ward.services)
        await rounds(ward, later, 1)
        server.valid = {OLD}
        await rounds(ward, later, 1)
        server.valid = set()
        await rounds(ward, later, 1)
        assert duty_of(ward).is_open
        assert len(server.received) > before


async def test_a_value_that_is_nowhere_any_more_is_left_to_a_person(tmp_path: Path) -> None:
    async with an_exposure(tmp_path) as (ward, server, watch):
        await rounds(ward, watch, 1)
        ward.write_env(VENDOR_TOKEN=NEW)
        shutil.rmtree(ward.root / "artifacts" / "run-1")
        server.valid = set()
        await ward.app.clock.sleep(0.1)
        await rounds(ward, CredentialWatch(ward.services), 3)
        assert duty_of(ward).is_open
        assert "its value is neither in .env nor in a file any more" in notes(ward)[-1]
