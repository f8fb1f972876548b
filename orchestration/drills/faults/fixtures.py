"""What the drills of several scenarios share: the user's own code and tools that fail when they are triggered."""

from __future__ import annotations

from typing import Any

from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.model import DrillWork, Inject
from orchestration.drills.project import agents
from orchestration.drills.setup import DrillSetting
from orchestration.rehearsal.scenes import scripted_calls

TRIGGER, WORKING, TRIGGERED = "trigger.txt", "working.txt", "triggered.txt"

# Works until it is triggered, then fails in the way that the file says; once only, unless it says `always`, so that a
# restarted agent can succeed.
# The same text serves as an agent of the user's own and as a tool.
FAULTY = f'''\
import contextlib, os, signal, sys, time
from pathlib import Path


def work(task):
    run(Path(task["workspace"]))
    return "The work was done."


def run(folder):
    (folder / "{WORKING}").write_text("")
    while not (folder / "{TRIGGER}").exists():
        print("works", flush=True)
        time.sleep(0.2)
    how = (folder / "{TRIGGER}").read_text()
    if "always" in how or not (folder / "{TRIGGERED}").exists():
        (folder / "{TRIGGERED}").write_text("")
        fail(how)


def fail(how):
    if "crash" in how:
        raise RuntimeError("a rehearsed fault")
    if "exit" in how:
        os._exit(3)
    if "kill" in how:
        os.kill(os.getpid(), signal.SIGKILL)
    if "block" in how:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # Only the main thread may do that, and frameworks use others.
            with contextlib.suppress(ValueError):
                signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(1)
    while "burn" in how:
        sum(range(10_000))
    held = []
    while "leak" in how or ("hoard" in how and len(held) < 100):
        held.append(bytearray(b"x") * 8_000_000)
        time.sleep(0.01)
    while held:
        time.sleep(1)


if __name__ == "__main__":
    run(Path.cwd())
    print("done")
'''
AGENT_FILES = {"drill_agent.py": FAULTY}
TOOL_FILES = {"work/tool.py": FAULTY}
TOOL_GOAL = f"Use the tool.\n{scripted_calls.line('run_command', command=['python3', 'tool.py'])}\n"

OWN_CODE = DrillWork(goal="Do the work of the user's own agent.", agent="own-code", sign=WORKING)
TOOL = DrillWork(goal=TOOL_GOAL, agent="helper", sign=WORKING)


def with_files(files: dict[str, str], **configuration: Any) -> DrillSetting:
    """A setting with these files and one provider."""
    return DrillSetting(providers=("primary",), files=files, configuration=configuration)


def limited(**limits: Any) -> list[dict[str, Any]]:
    """All agents, with these limits for the one that runs scripted tool calls."""
    return [
        {**agent, "limits": {**agent["limits"], **limits}} if agent["id"] == "helper" else agent for agent in agents()
    ]


def trigger(how: str) -> Inject:
    """Make the work fail in that way."""

    async def inject(environment: DrillEnvironment) -> None:
        # Renamed into place: the agent polls for the file, and must not read it half written.
        new = environment.workspace / f"{TRIGGER}.new"
        new.write_text(how)
        new.replace(environment.workspace / TRIGGER)

    return inject


def provider_fault(fault: str, **order: Any) -> Inject:
    """Make the first provider answer with a fault of the rehearsal server."""

    async def inject(environment: DrillEnvironment) -> None:
        await environment.primary.fault(fault, **order)

    return inject
