"""The folder that a run works in, and its history in a shadow git repository outside that folder.

The user's own repository, its index and its configuration are never touched, and no hooks run.
"""

from __future__ import annotations

import asyncio
import glob
import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeVar

import anyio
import anyio.to_thread

from orchestration.agents import sandbox
from orchestration.agents.sandbox import CommandResult, SandboxLimits
from orchestration.clock import SystemClock
from orchestration.errors import OrchestratorError, UsageError
from orchestration.private_folder import make_private_folder
from orchestration.security.safe_folder import SKIPPED

T = TypeVar("T")

# Larger files are recorded, too, but git streams them and does not diff them.
_LARGE_FILE_BYTES = 20 * 1_048_576
# What can be rebuilt, and would make each snapshot slow.
_EXCLUDED = (".git", "node_modules", ".venv", "venv", "__pycache__/", "*.pyc", ".mypy_cache/", ".pytest_cache/")
# The user's git settings may sign commits, run filters or ask for a password.
GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C.UTF-8",
}
# `safe.directory`: in a container the files often belong to another user, and git would refuse to work. `gc.auto`: a
# collection in the background would outlive the step.
GIT_OPTIONS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*", "-c", "gc.auto=0", "-c", "core.autocrlf=false"),
    *("-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-c", f"core.bigFileThreshold={_LARGE_FILE_BYTES}"),
)
# Bytes as they are: no conversion of line ends or encodings, which would change files on the way back.
PLAIN_ATTRIBUTES = "* -text -ident -filter -working-tree-encoding -diff\n* !diff\n"
_LIMITS = SandboxLimits(
    seconds=600,
    memory_mb=2048,
    cpu_seconds=600,
    output_bytes=4_000_000,
    file_bytes=1 << 40,
    disk_bytes=1 << 40,
    files=1 << 40,
)


class WorkspaceError(OrchestratorError):
    """The history of the workspace could not be recorded."""


class HelperKilledError(WorkspaceError):
    """A process of ours was killed from outside, for example because the machine was out of memory."""


# Killed once, a helper works the next time; killed three times in a row, something is wrong.
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that differs between two snapshots: what it was and what it is, as identifiers of blobs and git's modes;
    None where it is missing. Names that are not UTF-8 hold surrogates, as those from `os.listdir` do."""

    path: str
    old: str | None
    old_mode: str | None
    new: str | None
    new_mode: str | None

    def reversed(self) -> FileChange:
        """The change that takes this one back."""
        return FileChange(self.path, self.new, self.new_mode, self.old, self.old_mode)


def checked_root(path: Path, state_folder: Path) -> Path:
    """A folder that agents may work in. Raises UsageError for one that is missing, unreadable or not a project's."""
    if not _exists(path):
        raise UsageError(f"expected a folder to work in, got '{path}', which does not exist; make it, or name another")
    root = path.resolve()
    if not root.is_dir():
        raise UsageError(f"expected a folder to work in, got '{path}', which is a file; name the folder it is in")
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError(
            f"expected a folder to work in, got '{path}', which may not be read and written; change its mode"
        )
    if root in _too_wide():
        raise UsageError(
            f"expected a project's folder to work in, got '{root}', which holds far more; name the project's"
        )
    state = state_folder.resolve()
    if root == state or (state in root.parents and not _is_ours_to_work_in(root, state)):
        raise UsageError(f"expected a project's folder to work in, got '{root}', where the system keeps its own state")
    return root


def _too_wide() -> tuple[Path, ...]:
    """The user's home folder and what is above; only the root where the user has none, as in some containers."""
    try:
        home = Path.home()
    except RuntimeError:
        return (Path("/"),)
    return (Path("/"), home, *home.parents)


def _exists(path: Path) -> bool:
    """Whether it is there, as far as can be seen. Raises UsageError for what cannot be a path here."""
    try:
        return path.exists()
    except OSError as error:
        raise UsageError(
            f"expected a folder to work in, got '{str(path)[:200]}': {error.strerror}; name another"
        ) from error


def _is_ours_to_work_in(root: Path, state: Path) -> bool:
    """Copies that the system makes for work: of the sample, and of forks."""
    return root.relative_to(state).parts[0] in ("demo", "forks", "worktrees")


class Workspace:
    """A folder with a history. Concurrent steps record one after the other: a git index has a single writer."""

    def __init__(self, root: Path, shadow: Path, own: Sequence[Path] = ()) -> None:
        """`own` are files and folders that are never recorded even if they are inside."""
        self.root = root
        self._shadow = shadow
        self._own = own
        self._lock = asyncio.Lock()

    async def snapshot(self) -> str:
        """Record the files as they are now; returns the identifier of the record, the same for the same content.

        What the folder's .gitignore leaves out is left out here too. The files of repositories inside it, submodules
        too, are recorded like all others. Raises WorkspaceError.
        """
        return await self._attempted(self._snapshot)

    async def _snapshot(self) -> str:
        return await self._record("", await asyncio.to_thread(repositories_in, self.root, self._own))

    async def _attempted(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something to the history, again if a helper is killed."""

        async def once() -> T:
            await self._prepare()
            return await work()

        async with self._lock:
            return await attempted(once)

    def _left_out(self) -> tuple[str, ...]:
        """What is ours inside the workspace: the histories of other runs change while git reads them."""
        root = self.root.resolve()
        folders = {folder.resolve() for folder in (self._shadow.parent, *self._own)}
        return tuple(folder.relative_to(root).as_posix() for folder in sorted(folders) if root in folder.parents)

    async def patch(self, before: str, after: str) -> bytes:
        """The changes between two snapshots as a patch that `git apply` takes, of any size, binary files included."""

        async def write() -> bytes:
            with tempfile.TemporaryDirectory(dir=self._shadow, prefix="patch-") as folder:
                # Into a file, because a command's output is text of limited length.
                file = Path(folder) / "patch"
                options = ("-p", "--binary", "--full-index", "--no-color", "--find-renames", f"--output={file}")
                await self._git("diff-tree", *options, before, after)
                return await anyio.to_thread.run_sync(file.read_bytes)

        return await self._attempted(write)

    async def changes(self, before: str, after: str) -> tuple[FileChange, ...]:
        """The files that differ between two snapshots."""

        async def read() -> tuple[FileChange, ...]:
            options = ("-r", "-z", "--raw", "--no-renames", "--full-index")
            return tuple(_changes(await self._bytes("diff-tree", *options, before, after)))

        return await self._attempted(read)

    async def blob(self, identifier: str) -> bytes:
        """The content of a recorded file."""
        return await self._attempted(lambda: self._bytes("cat-file", "blob", identifier))

    async def export(self, tree: str, target: Path) -> None:
        """Put a snapshot's files into a new folder. Raises UsageError when the folder is there already."""
        if target.exists():
            raise UsageError(f"expected a folder that does not exist yet, got '{target}'")
        target.mkdir(parents=True)
        await self.check_out(tree, target)

    async def check_out(self, tree: str, target: Path, paths: Sequence[str] | None = None) -> None:
        """Put a snapshot's files, or some of them, into a folder, in the place of those that are there."""

        async def write() -> None:
            index = self._shadow / f"export-{target.name}"
            try:
                await self._git("read-tree", tree, index=index)
                if paths is None:
                    await self._git("checkout-index", "--all", "--force", work_tree=target, index=index)
                else:
                    given = b"".join(os.fsencode(path) + b"\0" for path in paths)
                    await self._bytes(
                        *("checkout-index", "--force", "-z", "--stdin"), work_tree=target, index=index, given=given
                    )
            finally:
                index.unlink(missing_ok=True)

        await self._attempted(write)

    async def _record(self, folder: str, repositories: Sequence[str]) -> str:
        """The tree of a folder including the repositories inside it. By itself, git records only the commit of those,
        and a fork would get an empty folder."""
        below = [path for path in repositories if path != folder and _is_in(path, folder)]
        nearest = [path for path in below if not any(path != other and _is_in(path, other) for other in below)]
        inner = [path.removeprefix(f"{folder}/") if folder else path for path in nearest]
        here = partial(self._git, work_tree=self.root / folder, index=self._index("index", folder))
        # 1: some files could not be read; the rest is recorded.
        # Named here, too: one history may be used for several folders, in which other files are ours.
        names = inner if folder else [*inner, *self._left_out()]
        left_out = [f":(exclude,literal){path}" for path in names]
        await here("add", "--all", "--ignore-errors", "--", ".", *left_out, bearable=(1,))
        tree = (await here("write-tree")).output.strip()
        together = partial(here, index=self._index("whole", folder))
        whole = tree
        for path, name in zip(nearest, inner, strict=True):
            if (await here("check-ignore", "--no-index", "-q", "--", name, bearable=(1,))).ok:
                continue
            subtree = await self._record(path, below)
            if whole == tree:
                await together("read-tree", tree)
            await together("rm", "-r", "--cached", "--quiet", "--force", "--ignore-unmatch", "--", name)
            await together("read-tree", f"--prefix={name}/", subtree)
            whole = (await together("write-tree")).output.strip()
        return whole

    def _index(self, kind: str, folder: str) -> Path:
        """The file that lists what was recorded of a folder."""
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16] if folder else "root"
        return self._shadow / f"{kind}-{name}"

    @property
    def objects(self) -> Path:
        """The folder of the recorded objects."""
        return self._shadow / "objects"

    async def begin_with(self, earlier: Workspace) -> None:
        """Start with the history of another workspace, so that a fork can compare with it."""
        await self._prepare()
        # Git never changes an object that it has written, so both may have the same file.
        copy = partial(shutil.copytree, copy_function=os.link, dirs_exist_ok=True)
        await anyio.to_thread.run_sync(copy, earlier.objects, self.objects)

    async def _prepare(self) -> None:
        """Create the shadow repository, whole or not at all, or remove the lock files that a killed process has
        left."""
        if self._shadow.exists():
            for lock in self._shadow.glob("*.lock"):
                lock.unlink(missing_ok=True)
            return
        new = self._shadow.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        make_private_folder(new)
        await self._run(("init", "--quiet", "--bare", str(new)), new)
        info = new / "info"
        info.mkdir(exist_ok=True)
        left_out = (f"/{glob.escape(path)}" for path in self._left_out())
        (info / "exclude").write_text("\n".join((*_EXCLUDED, *left_out)) + "\n")
        (info / "attributes").write_text(PLAIN_ATTRIBUTES)
        new.rename(self._shadow)

    async def _git(
        self,
        *arguments: str,
        work_tree: Path | None = None,
        index: Path | None = None,
        bearable: Sequence[int] = (),
    ) -> CommandResult:
        where = [f"--git-dir={self._shadow}", f"--work-tree={work_tree or self._shadow}"]
        variables = {} if index is None else {"GIT_INDEX_FILE": str(index)}
        return await self._run((*where, *arguments), work_tree or self._shadow, bearable, variables)

    async def _bytes(
        self, *arguments: str, work_tree: Path | None = None, index: Path | None = None, given: bytes = b""
    ) -> bytes:
        """What git prints, byte for byte: names of files need not be text."""
        where = (f"--git-dir={self._shadow}", f"--work-tree={work_tree or self._shadow}")
        variables = {} if index is None else {"GIT_INDEX_FILE": str(index)}
        return await run_git((*where, *arguments), work_tree or self._shadow, given=given, variables=variables)

    async def _run(
        self,
        arguments: Sequence[str],
        cwd: Path,
        bearable: Sequence[int] = (),
        variables: Mapping[str, str] | None = None,
    ) -> CommandResult:
        command = ("git", *GIT_OPTIONS, *arguments)
        try:
            result = await sandbox.run(
                command, cwd, _LIMITS, extra_environment={**GIT_ENVIRONMENT, **(variables or {})}
            )
        except OSError as error:
            raise WorkspaceError(f"expected to keep the history of {self.root}, got: {error}") from error
        if result.was_killed:
            raise HelperKilledError(
                f"git was killed while it kept the history of {self.root}; the machine may be out of memory"
            )
        if not result.ok and result.exit_code not in bearable:
            problem = result.stopped or result.output.strip()[-500:] or f"exit code {result.exit_code}"
            advice = "; install git" if result.exit_code == 127 else ""
            raise WorkspaceError(f"expected to keep the history of {self.root}, got: {problem}{advice}")
        return result


def repositories_in(root: Path, left_out: Sequence[Path] = ()) -> list[str]:
    """The folders below one that are git repositories of their own, relative to it; not those in `left_out`."""
    found, root = [], root.resolve()
    outside = {str(path.resolve()) for path in left_out}
    for folder, folders, files in os.walk(root):
        if folder != str(root) and ".git" in (*folders, *files):
            found.append(os.path.relpath(folder, root))
        folders[:] = [name for name in folders if name not in SKIPPED and f"{folder}/{name}" not in outside]
    return found


async def attempted(work: Callable[[], Awaitable[T]]) -> T:
    """Do something that may be repeated, again if a helper is killed. Raises HelperKilledError after the third time."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return await work()
        except HelperKilledError:
            await SystemClock().sleep(attempt * _PAUSE_SECONDS)
    return await work()


async def run_with_input(
    command: Sequence[str], given: bytes, cwd: Path, environment: Mapping[str, str]
) -> CompletedProcess[bytes]:
    """Run a program on this input, and return how it ended. Raises OSError if it cannot be started."""
    # From a file: a pipe whose reader was killed would end with an error of its own, and not with an exit code.
    with tempfile.TemporaryFile() as source:
        source.write(given)
        source.seek(0)
        return await anyio.run_process(command, stdin=source, cwd=cwd, env=environment, check=False)


async def run_git(
    arguments: Sequence[str],
    cwd: Path,
    *,
    given: bytes = b"",
    variables: Mapping[str, str] | None = None,
    bearable: Sequence[int] = (),
) -> bytes:
    """What a git command prints, with nothing of the user's settings executed. Raises WorkspaceError unless the exit
    code is 0 or bearable."""
    environment = {**sandbox.environment(cwd), **GIT_ENVIRONMENT, **(variables or {})}
    command = ("git", *GIT_OPTIONS, *arguments)
    try:
        with anyio.fail_after(_LIMITS.seconds):
            done = await run_with_input(command, given, cwd, environment)
    except OSError as error:
        raise WorkspaceError(f"git cannot be run: {error.strerror or error}; install git") from error
    except TimeoutError as error:
        raise WorkspaceError(f"git did not end within {_LIMITS.seconds:g} s") from error
    if done.returncode == -signal.SIGKILL:
        raise HelperKilledError("git was killed; the machine may be out of memory")
    if done.returncode and done.returncode not in bearable:
        said = done.stderr.decode("utf-8", "replace").strip()[-500:] or f"exit code {done.returncode}"
        raise WorkspaceError(f"git failed: {said}")
    return done.stdout


def _changes(raw: bytes) -> Iterator[FileChange]:
    """The entries of `diff-tree --raw -z`: ":mode mode blob blob status", a zero byte, the path, a zero byte."""
    parts = iter(raw.split(b"\0"))
    for head in parts:
        if not head:
            return
        old_mode, new_mode, old, new, _ = head.decode()[1:].split(" ")
        path = os.fsdecode(next(parts))
        missing = "000000"
        yield FileChange(
            path,
            None if old_mode == missing else old,
            None if old_mode == missing else old_mode,
            None if new_mode == missing else new,
            None if new_mode == missing else new_mode,
        )


def _is_in(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")
