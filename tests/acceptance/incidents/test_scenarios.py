"""Each of the five scenarios, caused for real while the main job runs, with nobody and nothing to mend it but the end
of its cause: one incident, the right severity, the right people told once, and told of the end."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.acceptance.incidents.conftest import Watch
from tests.acceptance.incidents.pressure import MEGABYTE, a_memory_group, a_small_disk
from tests.support.project import Command, wait_until
from tests.support.rehearsal import RehearsalProcess
from tests.support.watched import Watched

ON_CALL = (("ada", "hook"), ("ada", "mail"))
AND_LEAD = (*ON_CALL, ("ben", "mail"))


def check_first_minute(project: Watched, *parts: str) -> None:
    """Somebody who has never seen this system learns what broke and what to do; both commands work as they stand."""
    lines = project.call("incidents", "show", "latest").splitlines()
    first = "\n".join(lines[: lines.index("")])
    for part in (*parts, "since ", "impact ", "tried ", "ago); detected by monitoring"):
        assert part in first
    assert "impact     Unknown" not in first
    (mail, *_) = project.mails("INCIDENT")
    text = mail.get_content()
    assert "Impact: Unknown" not in text
    commands = [line.strip() for line in text.partition("What to do now:\n")[2].splitlines()[:2]]
    assert all(command in first for command in commands)
    for command in reversed(commands):
        program, *arguments = shlex.split(command)
        if program == "orchestrator":
            done = project.start(*arguments)
            assert done.wait() in (0, 1), done.output
            assert "Traceback" not in done.output


def succeeded(command: Command) -> bool:
    return command.wait() == 0 and "succeeded" in command.output


def test_a_provider_that_is_stopped(provider: RehearsalProcess, watch: Watch) -> None:
    with watch() as project:
        project.serve()
        run = project.start_run("--patience", "60")
        provider.wait_for_calls(3)
        provider.kill()
        assert project.wait_for_incident() == ("provider-unavailable", "P1", "detected")
        project.check_told(*AND_LEAD)
        check_first_minute(
            project,
            "P1 INVESTIGATING: Provider first is unavailable",
            "first does not answer: unreachable",
            "no model call to first succeeds; no other is left, so every run waits",
            "orchestrator providers probe first",
        )
        provider.start()
        project.wait_for_incident("resolved")
        assert succeeded(run)
        project.check_over()


def test_an_agent_that_crashes(provider: RehearsalProcess, watch: Watch) -> None:
    with watch() as project:
        project.serve()
        provider.set_fault("bad_json_answer", match={"role": "reviewer"})
        run = project.start_run()
        assert project.wait_for_incident() == ("agent-failure", "P2", "detected")
        assert run.wait() == 1
        project.check_told(*ON_CALL)
        check_first_minute(
            project,
            "P2 INVESTIGATING: Agent reviewer fails",
            "malformed_answer, The JSON object does not match the schema",
            "agent reviewer (1 of 3 agents fail)",
            "tried      nothing yet",
            "orchestrator runs show run-",
        )
        provider.clear_faults()
        assert "succeeded" in project.call("runs", "resume", "latest")
        project.wait_for_incident("resolved")
        project.check_over()


def test_a_step_that_hangs(provider: RehearsalProcess, watch: Watch) -> None:
    with watch(monitoring={"thresholds": {"stalledSeconds": 4}}) as project:
        project.serve()
        provider.set_fault("hang", match={"role": "reviewer"})
        project.start_run()
        assert project.wait_for_incident() == ("workflow-stuck", "P2", "detected")
        project.check_told(*ON_CALL)
        check_first_minute(
            project,
            "makes no progress",
            "No sign of progress from reviewer for",
            "the last thing it did: asks a model",
            "orchestrator runs show run-",
        )
        provider.clear_faults()
        project.call("runs", "cancel", "latest")
        project.wait_for_incident("resolved")
        project.check_over()
        assert "succeeded" in project.call("runs", "resume", "latest")
        assert len(project.incidents()) == 1, "it went on at once, and nobody took that for another trouble"


def test_a_disk_that_is_nearly_full(provider: RehearsalProcess, watch: Watch, tmp_path: Path) -> None:
    with (
        a_small_disk(tmp_path / "small", 20) as disk,
        watch(runtime={"artifactsDirectory": str(disk)}) as project,
    ):
        project.serve()
        run = project.start_run()
        provider.wait_for_calls(3)
        (disk / "big").write_bytes(b"x" * 19 * MEGABYTE)
        assert project.wait_for_incident() == ("high-resource-usage", "P1", "detected")
        project.check_told(*AND_LEAD)
        check_first_minute(
            project, "is nearly full", f"% of the disk with {disk} is free", "MB of 20 MB", f"df -h {disk}"
        )
        (disk / "big").unlink()
        project.wait_for_incident("resolved")
        assert succeeded(run)
        project.check_over()


def test_memory_that_is_nearly_used_up(provider: RehearsalProcess, watch: Watch) -> None:
    """The limit is a lower one, so that nothing is killed for want of memory."""
    with (
        a_memory_group(1000) as group,
        watch(monitoring={"thresholds": {"memoryPercent": 75}}) as project,
    ):
        with group.inside():
            project.serve()
        run = project.start_run()
        provider.wait_for_calls(3)
        with group.filled(0.85):
            assert project.wait_for_incident() == ("high-resource-usage", "P1", "detected")
            project.check_told(*AND_LEAD)
            check_first_minute(project, "Memory use of", "above 75 %", "everything that runs on", "top -b -n 1")
        project.wait_for_incident("resolved")
        assert succeeded(run)
        project.check_over()


def test_a_secret_that_an_agent_writes(watch: Watch) -> None:
    """The command that an agent runs, the tests of the workspace, writes a token into a file there."""
    with watch() as project:
        tests = project.sample.workspace / "tests" / "test_money.py"
        token = "ghp_" + "aB3dE5gH7j" * 3 + "K9mN1p"
        leak = f"\n\ndef setUpModule():\n    open('settings.ini', 'w').write('token = {token}')\n"
        tests.write_text(tests.read_text() + leak.replace(token, f"ghp_' + {token[4:]!r} + '"))
        project.serve()
        run = project.start_run()
        assert project.wait_for_incident() == ("security-alert", "P1", "detected")
        project.check_told(*AND_LEAD)
        project.check_told(("sam", "mail"), heading="ESCALATION")
        check_first_minute(
            project,
            "P1 INVESTIGATING: A secret was written to",
            "settings.ini holds a secret (github-token) that was not redacted",
            "whatever run run-",
            "orchestrator runs show run-",
        )
        assert succeeded(run)
        written = list(project.root.rglob("settings.ini"))
        assert written
        for file in written:
            file.unlink()
        cleared = "SELECT 1 FROM incident_entries WHERE kind = 'cleared'"
        wait_until(lambda: project.rows(cleared), "for the scan to find nothing more")
        assert "duty 1 is open: rotate or revoke the credential" in project.call("incidents", "show", "latest")
        project.call("incidents", "duty-done", "latest", "1", "--evidence", "it was revoked at the vendor")
        project.wait_for_incident("resolved")
        project.check_over()
        said = "".join(mail.as_string() for mail in project.mailbox.mails)
        assert token not in said + project.log.read_text() + str(project.hook.bodies())
        incident = project.hook.bodies()[0]["data"]["notice"]["incident_id"]
        assert f"/incidents/{incident}\r\n" in project.mails("INCIDENT")[0].get_content(), "it leads to the dashboard"
