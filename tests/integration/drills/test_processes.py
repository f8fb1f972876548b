"""The processes of a drill are heard, waited for, and surely ended."""

from __future__ import annotations

from pathlib import Path

import httpx2
import psutil
import pytest

from orchestration.clock import SystemClock
from orchestration.drills.processes import DrillError, DrillProcess, process_environment
from orchestration.drills.rehearsal_process import RehearsalProcess
from tests.support.patience import patient

CLOCK = SystemClock()


async def test_a_provider_that_was_killed_comes_back_at_its_address_and_its_calls_are_kept(tmp_path: Path) -> None:
    provider = RehearsalProcess("primary", tmp_path, 1.0, CLOCK)
    try:
        await provider.start()
        url = provider.url
        body = {"model": "rehearsal-1", "messages": [{"role": "user", "content": "Hello"}]}
        async with httpx2.AsyncClient(trust_env=False, timeout=patient(30)) as client:
            await client.post(f"{url}/v1/chat/completions", json=body)
            await provider.kill()
            with pytest.raises(httpx2.ConnectError):
                await client.post(f"{url}/v1/chat/completions", json=body)
            await provider.start()
            await client.post(f"{url}/v1/chat/completions", json=body)
        assert provider.url == url
        assert len(await provider.calls()) == 2
    finally:
        provider.close()


async def test_what_it_prints_is_waited_for_and_a_process_that_ends_first_is_an_error(tmp_path: Path) -> None:
    child = DrillProcess(("orchestration", "--version"), tmp_path, tmp_path / "log", CLOCK)
    assert "orchestrator" in await child.wait_for_output("orchestrator", 30)
    assert await child.wait(patient(30)) == 0
    with pytest.raises(DrillError, match="expected 'something else' of a process"):
        await child.wait_for_output("something else", 30)


async def test_one_that_is_stopped_is_gone(tmp_path: Path) -> None:
    child = DrillProcess(("orchestration.rehearsal",), tmp_path, tmp_path / "log", CLOCK)
    await child.wait_for_output("http://", 30)
    await child.stop()
    assert child.ended
    assert not psutil.pid_exists(child.pid)


def test_no_credential_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-drills")
    monkeypatch.setenv("ORCHESTRATOR_CONFIG", "mine.json")
    assert {"OPENAI_API_KEY", "ORCHESTRATOR_CONFIG"}.isdisjoint(process_environment())
