"""A git repository of the user's, read and tried out through a repository of our own.

Ours borrows the objects of theirs and has settings of its own, so that nothing which theirs configures is executed: no
hook, filter, merge driver or signing program. Their files, their index and their checked-out branch are never touched;
the one thing that is ever written there is a new branch.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import anyio

from orchestration.agents.sandbox import environment
from orchestration.agents.workspace import GIT_ENVIRONMENT, GIT_OPTIONS, PLAIN_ATTRIBUTES, run_with_input
from orchestration.errors import OrchestratorError

_SECONDS = 60.0
_MOST_FILES = 50
_IDENTITY = "Orchestrator", "orchestrator@localhost"
_RECORD, _FIELD = "\x1e", "\x1f"


class CodeHistoryError(OrchestratorError):
    """The history of a folder could not be read, or a commit could not be reverted."""


@dataclass(frozen=True, slots=True)
class CodeCommit:
    """A commit with the files that it changed, at most fifty of them."""

    id: str
    author: str
    at: datetime
    subject: str
    files: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The commit as evidence."""
        return {**asdict(self), "at": self.at.isoformat(), "files": list(self.files)}

    def sentence(self) -> str:
        """The commit in one line."""
        shown = ", ".join(self.files[:3]) + (f" and {len(self.files) - 3} more" if len(self.files) > 3 else "")
        files = f" ({shown})" if shown else ""
        return f"{self.id[:10]} {self.at:%Y-%m-%d %H:%M} UTC {self.author}: {self.subject}{files}"


@dataclass(frozen=True, slots=True)
class Reverted:
    """A commit that takes another one back, on top of the checked-out one, and what it changes."""

    id: str
    base: str
    patch: str


class CodeHistory:
    """The repository that a folder is in. Make one with `code_history`."""

    def __init__(self, common: Path, own: Path, prefix: str, head: str, scratch: Path) -> None:
        self.common = common
        self.head = head
        self._own = own
        self._prefix = prefix
        self._scratch = scratch
        self._ours = scratch / "ours.git"

    async def since(self, moment: datetime, limit: int = 50) -> tuple[CodeCommit, ...]:
        """What was checked out since then that was not before, newest first: also older commits that were pulled or
        switched to meanwhile."""
        base = await self._checked_out_at(moment)
        chosen = (f"{base}..{self.head}",) if base else (f"--since={moment.isoformat()}", self.head)
        format_ = _RECORD + _FIELD.join(("%H", "%an", "%ct", "%s"))
        # Of a merge, what it brought to the branch.
        shown = (f"--max-count={limit}", f"--format={format_}", "--name-only", "--diff-merges=first-parent")
        return tuple(_commit(text) for text in (await self._git("log", *shown, *chosen)).split(_RECORD)[1:])

    async def line_since(self, moment: datetime) -> tuple[str, ...]:
        """The commits of the checked-out line since then, oldest first, after the last one before; empty if there are
        none."""
        base = await self._checked_out_at(moment)
        chosen = (f"{base}..{self.head}",) if base else (f"--since={moment.isoformat()}", self.head)
        line = (await self._git("rev-list", "--first-parent", "--reverse", *chosen)).split()
        if not line:
            return ()
        return ((base or (await self._git("rev-parse", "--verify", f"{line[0]}^")).strip()), *line)

    @contextlib.asynccontextmanager
    async def exported(self, commit: str) -> AsyncIterator[Path]:
        """The files of a commit in a folder of their own for as long as the block lasts: the same folder of the
        repository that this was made for."""
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix="tree-", ignore_cleanup_errors=True) as name:
            index = self._scratch / "export-index"
            await self._git("read-tree", commit, index=index)
            await self._git("checkout-index", "--all", "--force", work_tree=Path(name), index=index)
            yield Path(name) / self._prefix

    async def revert(self, commit: str) -> Reverted:
        """Take a commit back in our repository. Raises CodeHistoryError if later commits are in the way."""
        parents = (await self._git("rev-list", "--parents", "--max-count=1", commit)).split()[1:]
        mainline = ("--mainline=1",) if len(parents) > 1 else ()
        # The date of the commit below it, so that doing this again gives the same commit.
        date = (await self._git("log", "--max-count=1", "--format=%cI", self.head)).strip()
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix="revert-", ignore_cleanup_errors=True) as name:
            tree = Path(name)
            await self._git("checkout", "--quiet", "--force", "--detach", self.head, work_tree=tree)
            done = await self._run(
                ("revert", "--no-edit", *mainline, commit), work_tree=tree, variables=_signature(date)
            )
            if done.returncode:
                raise CodeHistoryError(
                    f"{commit[:10]} cannot be reverted by itself: later commits changed the same lines"
                )
        new = (await self._git("rev-parse", "--verify", "HEAD")).strip()
        patch = await self._git("diff", "--no-color", "--no-ext-diff", "--no-textconv", self.head, new)
        return Reverted(new, self.head, patch)

    async def add_branch(self, name: str, commit: str) -> None:
        """Put a commit of ours into the user's repository, as a new branch. Raises CodeHistoryError if there is another
        one of that name."""
        present = await self._theirs("rev-parse", "--verify", "--quiet", f"refs/heads/{name}", bearable=(1,))
        if present.strip() == commit.encode():
            return
        wanted = f"{commit}\n^{self.head}\n".encode()
        pack = await self._run(("pack-objects", "--quiet", "--stdout", "--revs"), given=wanted)
        await self._theirs("unpack-objects", "-q", given=_checked(pack))
        # The name must be free: the zeros let git refuse it otherwise.
        await self._theirs("update-ref", f"refs/heads/{name}", commit, "0" * len(commit))

    async def remove_branch(self, name: str, commit: str) -> None:
        """Delete a branch of ours. Raises CodeHistoryError if somebody has checked it out or added to it."""
        if not (await self._theirs("for-each-ref", "--format=%(refname)", f"refs/heads/{name}")).strip():
            return
        worktrees = (await self._theirs("worktree", "list", "--porcelain")).decode("utf-8", "replace").splitlines()
        if f"branch refs/heads/{name}" in worktrees:
            raise CodeHistoryError(f"the branch {name} is checked out, so it was not deleted")
        await self._theirs("update-ref", "-d", f"refs/heads/{name}", commit)

    async def prepare(self, object_format: str) -> None:
        """Make our repository."""
        made = ("init", "--quiet", "--bare", "--template=", f"--object-format={object_format}", str(self._ours))
        _checked(await _run_git(made, self._scratch, self._scratch))
        info = self._ours / "info"
        info.mkdir(exist_ok=True)
        (info / "attributes").write_text(PLAIN_ATTRIBUTES)
        (self._ours / "objects" / "info" / "alternates").write_text(f"{self.common / 'objects'}\n")
        with contextlib.suppress(FileNotFoundError):  # only a shallow clone has it
            (self._ours / "shallow").write_bytes((self.common / "shallow").read_bytes())

    async def _checked_out_at(self, moment: datetime) -> str | None:
        """The commit that was checked out then, as far as the log of `HEAD` goes back."""
        try:
            log = await anyio.Path(self._own / "logs" / "HEAD").read_text("utf-8", "replace")
        except OSError:
            return None
        found = checked_out_at(log, moment)
        known = found is not None and not (await self._run(("cat-file", "-e", f"{found}^{{commit}}"))).returncode
        return found if known else None

    async def _git(self, *arguments: str, work_tree: Path | None = None, index: Path | None = None) -> str:
        variables = {} if index is None else {"GIT_INDEX_FILE": str(index)}
        done = await self._run(arguments, work_tree=work_tree, variables=variables)
        return _checked(done).decode("utf-8", "replace")

    async def _run(
        self,
        arguments: Sequence[str],
        *,
        work_tree: Path | None = None,
        given: bytes = b"",
        variables: Mapping[str, str] | None = None,
    ) -> CompletedProcess[bytes]:
        where = [f"--git-dir={self._ours}", *([f"--work-tree={work_tree}"] if work_tree else [])]
        return await _run_git((*where, *arguments), work_tree or self._scratch, self._scratch, given, variables)

    async def _theirs(self, *arguments: str, given: bytes = b"", bearable: Sequence[int] = ()) -> bytes:
        done = await _run_git((f"--git-dir={self._own}", *arguments), self._scratch, self._scratch, given)
        return done.stdout if done.returncode in bearable else _checked(done)


@contextlib.asynccontextmanager
async def code_history(folder: Path, below: Path) -> AsyncIterator[CodeHistory]:
    """The history of the repository that a folder is in, with a temporary folder of ours `below` another. Raises
    CodeHistoryError if it is in none, or git is missing."""
    await anyio.Path(below).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=below, prefix="git-", ignore_cleanup_errors=True) as name:
        scratch = Path(await anyio.Path(name).resolve())
        asked = ("--path-format=absolute", "--git-common-dir", "--git-dir", "--show-object-format", "--show-prefix")
        located = await _run_git(("-C", str(folder), "rev-parse", *asked), scratch, scratch)
        # The prefix is empty, and its line missing, at the top of the repository.
        common, own, object_format, *prefix = _checked(located).decode("utf-8", "surrogateescape").splitlines()
        head = await _run_git(("-C", str(folder), "rev-parse", "--verify", "HEAD"), scratch, scratch)
        history = CodeHistory(Path(common), Path(own), "".join(prefix), _checked(head).decode().strip(), scratch)
        await history.prepare(object_format)
        yield history


def is_checked_out(folder: Path, commit: str) -> bool:
    """Whether what is checked out in the repository of a folder has a commit in its history. Blocks."""
    with tempfile.TemporaryDirectory(prefix="git-") as home:
        words = ("git", *GIT_OPTIONS, "-C", str(folder), "merge-base", "--is-ancestor", commit, "HEAD")
        try:
            ended = subprocess.run(  # noqa: S603 (a list of words; the commit is one that we have made)
                words, env=environment(Path(home), GIT_ENVIRONMENT), capture_output=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return False
    return ended.returncode == 0


async def first_failing(commits: Sequence[str], passes: Callable[[str], Awaitable[bool]]) -> str:
    """The first of these commits, which come oldest first, that does not pass; the last one is known not to.

    It asks about as many as their number has binary digits."""
    good, bad = -1, len(commits) - 1
    while bad - good > 1:
        middle = (good + bad) // 2
        if await passes(commits[middle]):
            good = middle
        else:
            bad = middle
    return commits[bad]


def checked_out_at(log: str, moment: datetime) -> str | None:
    """The commit that was checked out at a moment, by the lines of git's log of `HEAD`; None before it begins. Pure."""
    found: str | None = None
    for line in log.splitlines():
        # `old new name <address> seconds zone<tab>message`: https://git-scm.com/docs/git-reflog
        before, _, rest = line.partition("\t")[0].partition(" ")
        words = rest.split()
        if len(words) < 3 or not words[-2].isdigit():
            continue
        if int(words[-2]) > moment.timestamp():
            return found or (before if before.strip("0") else None)
        found = words[0]
    return found


def _commit(text: str) -> CodeCommit:
    head, _, files = text.partition("\n")
    commit, author, seconds, subject = head.split(_FIELD, 3)
    names = [line for line in files.splitlines() if line]
    at = datetime.fromtimestamp(int(seconds), UTC)
    return CodeCommit(commit, _printable(author), at, _printable(subject), tuple(map(_printable, names[:_MOST_FILES])))


def _printable(text: str) -> str:
    """What somebody wrote into a commit, without control characters, which a terminal would obey."""
    return "".join(each if each.isprintable() else " " for each in text)


def _signature(date: str) -> dict[str, str]:
    name, address = _IDENTITY
    parts = {"NAME": name, "EMAIL": address, "DATE": date}
    return {f"GIT_{who}_{part}": value for who in ("AUTHOR", "COMMITTER") for part, value in parts.items()}


async def _run_git(
    arguments: Sequence[str],
    cwd: Path,
    home: Path,
    given: bytes = b"",
    variables: Mapping[str, str] | None = None,
) -> CompletedProcess[bytes]:
    extra = {**GIT_ENVIRONMENT, "GIT_ADVICE": "0", "GIT_EDITOR": "true", **(variables or {})}
    try:
        with anyio.fail_after(_SECONDS):
            return await run_with_input(("git", *GIT_OPTIONS, *arguments), given, cwd, environment(home, extra))
    except OSError as error:
        raise CodeHistoryError(f"git cannot be run: {error.strerror or error}") from error
    except TimeoutError as error:
        raise CodeHistoryError(f"git did not end within {_SECONDS:g} s") from error


def _checked(done: CompletedProcess[bytes]) -> bytes:
    if done.returncode:
        said = _printable(done.stderr.decode("utf-8", "replace").strip().splitlines()[-1] if done.stderr else "")
        raise CodeHistoryError(f"git failed: {said or f'exit code {done.returncode}'}")
    return done.stdout
