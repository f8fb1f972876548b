"""What changed in the code, which commit broke the checks, and the branch that takes it back: on real repositories."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.agents.code_history import checked_out_at
from orchestration.domain.duty import Duty, DutyKind
from orchestration.domain.run_status import RunStatus
from orchestration.events.agents import AgentFinished, Usage
from orchestration.playbooks.actions import ActionError
from orchestration.playbooks.duty_proofs import proof_of
from orchestration.storage.runs import Run
from tests.support.response import Ward, a_ward

CHECK = [sys.executable, "-c", "import sound; assert sound.answer() == 42"]
GOOD = "def answer():\n    return 42\n"
BAD = "def answer():\n    return 41\n"
USED = Usage(1.0, 1, 1, 0.0, rehearsal=False)


class Repository:
    """A user's repository, with everything in its configuration that git would execute for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.git("init", "-q", "-b", "main")
        self.trap = root.parent / "trap"
        script = root.parent / "trap.sh"
        script.write_text(f"#!/bin/sh\ntouch {self.trap}\ncat\n")
        script.chmod(0o755)
        hooks = root / ".git" / "hooks"
        for hook in ("reference-transaction", "post-checkout", "pre-commit", "post-commit", "post-rewrite"):
            (hooks / hook).symlink_to(script)
        self.traps = {
            "core.fsmonitor": str(script),
            "diff.external": str(script),
            "filter.evil.smudge": str(script),
            "filter.evil.clean": str(script),
            "merge.evil.driver": str(script),
            "gpg.program": str(script),
            "log.showSignature": "true",
        }

    def arm(self) -> None:
        """From now on whatever git executes leaves a trace."""
        (self.root / ".git" / "info" / "attributes").write_text("* filter=evil merge=evil diff=evil\n")
        for name, value in self.traps.items():
            self.git("config", name, value)
        self.trap.unlink(missing_ok=True)

    def git(self, *arguments: str, at: datetime | None = None) -> str:
        variables: Mapping[str, str] = dict(os.environ)
        if at is not None:
            variables = {**variables, "GIT_AUTHOR_DATE": at.isoformat(), "GIT_COMMITTER_DATE": at.isoformat()}
        done = subprocess.run(
            ["git", "-C", str(self.root), "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments],
            check=True,
            capture_output=True,
            text=True,
            env=variables,
        )
        return done.stdout.strip()

    def commit(self, subject: str, at: datetime | None = None, **files: str) -> str:
        for name, text in files.items():
            (self.root / f"{name}.py").write_text(text)
        self.git("add", "--all", at=at)
        self.git("commit", "-q", "--allow-empty", "-m", subject, at=at)
        return self.git("rev-parse", "HEAD")

    def state(self) -> tuple[str, ...]:
        """All that belongs to the user: branches, what is checked out, the index and the files."""
        files = {path.name: path.read_text() for path in self.root.glob("*.py")}
        index = (self.root / ".git" / "index").read_bytes().hex()
        refs = self.git("for-each-ref", "--format=%(refname) %(objectname)")
        return (refs, self.git("symbolic-ref", "HEAD"), index, str(files))


def ended(ward: Ward, run: str, workspace: Path, *, failing: str | None = None, **options: Any) -> None:
    """A run of the executor that has ended."""
    now = ward.app.clock.now()
    status = RunStatus.FAILED if failing else RunStatus.SUCCEEDED
    ward.app.runs.add(Run(run, "mend it", str(workspace), now, status, options=options))
    failure = {"kind": failing, "message": "it did"} if failing else None
    ward.app.bus.emit(
        "agent.finished", run_id=run, agent="executor", agent_run_id=f"{run}.executor", failing=failure, use={}
    )


async def known(ward: Ward, run: str) -> None:
    await ward.until(lambda: any(event.kind == AgentFinished.kind for _, event in ward.app.timeline.list(run)))


async def test_the_commit_that_broke_the_checks_is_found_and_taken_back_on_a_branch(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        work = Repository(tmp_path / "work")
        work.commit("Begin", sound=GOOD)
        ended(ward, "run-1", work.root)
        await known(ward, "run-1")
        later = datetime.now(UTC) + timedelta(seconds=2)
        work.commit("Say hello", later, hello="print('hello')\n")
        culprit = work.commit("Be modest\x1b[31m", later + timedelta(seconds=1), sound=BAD)
        for number in range(5):
            work.commit(f"Add {number}", later + timedelta(seconds=2 + number), **{f"more{number}": "x = 1\n"})
        ended(ward, "run-2", work.root, failing="internal_error", checks=[CHECK])
        await known(ward, "run-2")
        work.arm()
        before = work.state()

        seen = await ward.run("evidence.git", runs=["run-2"], agents=["executor"])
        assert (seen.findings["recent"], seen.findings["suspects"]) == (True, ["run-2"])
        assert len(seen.findings["commits"]) == 7
        assert f"{culprit[:10]} " in seen.findings["commits"][5]
        assert "Ada: Be modest [31m (sound.py)" in seen.findings["commits"][5]
        await ward.run("evidence.git", runs=["run-2"], agents=["executor"])
        noted = [
            entry.data["text"] for entry in ward.services.incidents.entries(ward.incident.id) if entry.kind == "noted"
        ]
        assert len([text for text in noted if "7 changes of the code since it last worked" in text]) == 1
        assert "\n  " in noted[-1]

        found = await ward.run("code.bisect", runs=["run-2"], agents=["executor"])
        assert (found.findings["culprit"], found.findings["workspace"]) == (culprit, str(work.root))
        assert before == work.state()

        given = {"workspace": str(work.root), "commit": culprit}
        preview = await ward.preview("code.revert", **given)
        assert "-    return 41\n+    return 42" in preview
        assert before == work.state()
        done = await ward.run("code.revert", **given)
        assert (await ward.run("code.revert", **given)).undo == done.undo
        assert not work.trap.exists()
        branch = done.findings["branch"]
        assert work.git("show", "--no-show-signature", f"{branch}:sound.py") == GOOD.strip()
        assert work.git("rev-parse", f"{branch}^") == work.git("rev-parse", "HEAD")
        refs, *rest = work.state()
        assert (refs.replace(f"\nrefs/heads/{branch} {work.git('rev-parse', branch)}", ""), *rest) == before

        [request] = done.duties
        duty = Duty(1, request.kind, request.subject, request.summary, request.owner, ward.app.clock.now(), "it")
        assert duty.kind is DutyKind.MERGE_BRANCH
        assert proof_of(ward.services, duty) == "", "nobody has merged it"
        work.git("update-ref", "refs/heads/main", branch)
        work.trap.unlink(missing_ok=True)
        assert proof_of(ward.services, duty).endswith(f"has {work.git('rev-parse', branch)[:10]}")
        assert not work.trap.exists()
        work.git("update-ref", "refs/heads/main", f"{branch}^")

        assert await ward.undo("code.revert", done) == f"the branch {branch} was deleted"
        assert work.state() == before
        again = await ward.run("code.revert", **given)
        work.git("-c", "core.fsmonitor=false", "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        with pytest.raises(ActionError, match="is checked out"):
            await ward.undo("code.revert", again)


@pytest.mark.parametrize(("first", "last", "said"), [(GOOD, GOOD, "pass on the newest"), (BAD, BAD, "cannot tell")])
async def test_checks_that_cannot_tell_blame_nobody(tmp_path: Path, first: str, last: str, said: str) -> None:
    async with a_ward(tmp_path) as ward:
        work = Repository(tmp_path / "work")
        work.commit("Begin", sound=first)
        ended(ward, "run-1", work.root)
        await known(ward, "run-1")
        work.commit("Go on", datetime.now(UTC) + timedelta(seconds=2), sound=last)
        ended(ward, "run-2", work.root, failing="internal_error", checks=[CHECK])
        with pytest.raises(ActionError, match=said):
            await ward.run("code.bisect", runs=["run-2"], agents=["executor"])


async def test_what_later_commits_built_upon_is_not_reverted(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        work = Repository(tmp_path / "work")
        work.commit("Begin", sound=GOOD)
        culprit = work.commit("Be modest", sound=BAD)
        work.commit("Be more modest", sound=BAD.replace("41", "40"))
        before = work.state()
        with pytest.raises(Exception, match="cannot be reverted by itself"):
            await ward.preview("code.revert", workspace=str(work.root), commit=culprit)
        assert work.state() == before


async def test_older_commits_that_were_pulled_since_count_as_changes(tmp_path: Path) -> None:
    """They bear the dates at which their author made them; that they came later only git's log of `HEAD` knows."""
    async with a_ward(tmp_path) as ward:
        work = Repository(tmp_path / "work")
        work.commit("Begin", datetime.now(UTC) - timedelta(days=3), sound=GOOD)
        work.git("checkout", "-q", "-b", "other")
        pulled = work.commit("Be modest", datetime.now(UTC) - timedelta(days=2), sound=BAD)
        work.git("checkout", "-q", "main")
        ended(ward, "run-1", work.root)
        await known(ward, "run-1")
        log = work.root / ".git" / "logs" / "HEAD"
        work.git("merge", "-q", "--ff-only", "other")
        # Its last line is of this very second, as the end of the run is.
        lines = log.read_text().splitlines()
        stamp = lines[-1].partition("\t")[0].split()[-2]
        log.write_text("\n".join([*lines[:-1], lines[-1].replace(stamp, str(int(stamp) + 5))]) + "\n")
        found = await ward.run("evidence.git", runs=["run-1"], agents=["executor"])
        assert [line[:10] for line in found.findings["commits"]] == [pulled[:10]]


def test_what_was_checked_out_is_read_from_the_log_of_head() -> None:
    log = (
        f"{'0' * 40} {'a' * 40} Ada <a@b.c> 100 +0200\tcommit: x\n{'a' * 40} {'b' * 40} Ada L <a@b.c> 200 +0000\tpull\n"
    )
    found = [checked_out_at(log, datetime.fromtimestamp(at, UTC)) for at in (50, 100, 199, 200, 999)]
    assert found == [None, "a" * 40, "a" * 40, "b" * 40, "b" * 40]
    assert checked_out_at("nonsense\n", datetime.now(UTC)) is None
