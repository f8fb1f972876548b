"""Drills a peer: the fault strikes while its job runs, then it is only watched.

What a peer says of itself is not believed: calls are counted by the providers, steps by what they leave on the disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.drilled import counting
from benchmarks.drilled.counting import Record
from benchmarks.drilled.ground import PEERS, Ground
from benchmarks.drilled.model import Fault, Outcome
from benchmarks.drilled.process import Process
from orchestration.clock import Clock
from orchestration.drills.observer import repeated_calls
from orchestration.drills.processes import DrillError
from orchestration.drills.rehearsal_process import RehearsalProcess

WAIT_SECONDS = 30.0
_START_SECONDS = 120.0
_EXIT_SECONDS = 25.0
_AGAIN_SECONDS = 90.0
_STRUCK = "part-2"
# Put together here, so that no scanner of this repository takes it for a real one.
_KEY = "AKIA" + "DR1LL" * 3 + "X"


async def hold(name: str, fault: Fault, clock: Clock, keep: Path | None = None) -> Outcome:
    """Drill a peer with one fault; its folder stays below `keep`. Raises DrillError when it does not get as far."""
    with _folder(keep, f"{name}-{fault.name}") as folder:
        providers = tuple(RehearsalProcess(one, folder, 20.0, clock) for one in ("primary", "second"))
        ground = Ground(PEERS[name], fault, folder, clock, providers)
        try:
            await ground.prepare()
            return await _drilled(name, ground)
        finally:
            for provider in providers:
                provider.close()
            (folder / "log.txt").write_text("\n".join(f"{line.at:.2f} {line.text}" for line in ground.lines))


@contextmanager
def _folder(keep: Path | None, name: str) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix=f"peer-{name}-", ignore_cleanup_errors=True) as made:
            yield Path(made).resolve()
        return
    folder = (keep / name).resolve()
    if folder.exists():
        raise DrillError(f"expected no folder {folder} yet, got one; name another one to keep drills in")
    folder.mkdir(parents=True)
    yield folder


async def _drilled(name: str, ground: Ground) -> Outcome:
    process = await ground.start()
    try:
        if not await ground.until(lambda: _at_work(ground.records) or process.ended, _START_SECONDS) or process.ended:
            said = "\n".join(line.text for line in ground.lines[-5:])
            raise DrillError(f"expected {name} to get to its second part, got: {said}")
        since = ground.clock.now().timestamp()
        process = await ground.strike(process)
        return await _watched(name, ground, process, since)
    finally:
        await process.kill()


def _at_work(records: list[Record]) -> bool:
    return any((one.what, one.step) == ("tool", _STRUCK) for one in records)


async def _watched(name: str, ground: Ground, process: Process, since: float) -> Outcome:
    await ground.until(lambda: process.done or process.ended, _patience(ground.fault))
    finished, failed = process.done, process.ended and not process.done
    finished_after = ground.clock.now().timestamp() - since if finished else None
    hangs = not await ground.until(lambda: process.ended, _EXIT_SECONDS) if finished else False
    await process.kill()
    before, sign = ground.records, counting.first_sign(ground.lines, since)
    lost, again = (0, "") if finished else await _by_a_person(ground, failed=failed)
    return Outcome(
        contender=name,
        version=ground.peer.version,
        fault=ground.fault.name,
        detected=sign.at - since if sign else None,
        sign=sign.text.strip() if sign else "",
        resolved=None if _unresolved(ground) else counting.saved_after(before, _STRUCK, since),
        finished=finished,
        finished_after=finished_after,
        lost=lost,
        repeated=len(counting.repeated_steps(before)),
        calls_repeated=repeated_calls(await ground.calls()),
        notes=_notes(ground, finished=finished, failed=failed, hangs=hangs),
        person="; ".join(one for one in (again, _remaining(ground, hangs=hangs)) if one) or "nothing",
    )


def _patience(fault: Fault) -> float:
    """How long it is waited; starting a peer takes time of its own."""
    return WAIT_SECONDS + (_START_SECONDS if fault.kill else 0.0)


async def _by_a_person(ground: Ground, *, failed: bool) -> tuple[int, str]:
    """The fault is over, and somebody gives the same command again: the committed steps that are lost, and in words."""
    noticed = "" if failed else "notice it, kill it, "
    before = ground.records
    await ground.mend()
    process = await ground.start()
    try:
        await ground.until(lambda: process.done or process.ended, _AGAIN_SECONDS)
        if not process.done:
            return len(counting.committed_steps(before)), f"{noticed}begin anew: started again it does not finish"
    finally:
        await process.kill()
    redone = counting.repeated_steps(ground.records) - counting.repeated_steps(before)
    return len(redone), f"{noticed}start it again"


def _remaining(ground: Ground, *, hangs: bool) -> str:
    """What is left to a person though the job is done."""
    half = counting.broken_artifacts(ground.artifacts())
    found = ("kill its process" if hangs else "", "find the half answers" if half else "", ground.fault.remains)
    return "; ".join(one for one in found if one)


def _unresolved(ground: Ground) -> bool:
    """Whether what the fault did stands, even if the job went on."""
    cut = _STRUCK in counting.broken_artifacts(ground.artifacts())
    return cut or ground.fault.tool == "leak" or ground.escaped


def _notes(ground: Ground, *, finished: bool, failed: bool, hangs: bool) -> tuple[str, ...]:
    notes = []
    if failed:
        notes.append("the job fails")
    elif not finished:
        notes.append(f"not stopped within {WAIT_SECONDS:g} s")
    if hangs:
        notes.append("its process does not end afterwards")
    if broken := counting.broken_artifacts(ground.artifacts()):
        notes.append(f"half an answer taken for a whole one: {', '.join(broken)}")
    if hollow := counting.hollow_steps(ground.records):
        notes.append(f"the model is told of the error and goes on: the tool's work is not done ({', '.join(hollow)})")
    if ground.fault.tool == "leak":
        printed = any(_KEY in line.text for line in ground.lines)
        notes.append(f"the key stays in the file{', and in the log' if printed else ''}")
    if ground.fault.escape:
        notes.append("the file was written" if ground.escaped else "the tool refused")
    return tuple(notes)
