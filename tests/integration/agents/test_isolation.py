"""What a command reaches behind its wall, tried by a command."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest

from orchestration.agents import isolation, sandbox
from orchestration.agents.isolation_policy import isolation_for
from orchestration.agents.sandbox import CommandResult, IsolationRules, SandboxLimits
from orchestration.config.schema import Configuration
from tests.support.patience import until_async

GAPS = anyio.run(sandbox.isolation_gaps, Path.cwd())
whole = pytest.mark.skipif(bool(GAPS), reason=f"this machine cannot isolate a command from {GAPS}")


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path


async def shell(room: Path, script: str, **settings: object) -> CommandResult:
    limits = SandboxLimits(seconds=20, isolation=IsolationRules(**settings))  # type: ignore[arg-type]
    return await sandbox.run(("sh", "-c", script), room / "work", limits)


@whole
async def test_it_changes_its_workspace_and_its_home_and_nothing_else(room: Path) -> None:
    outside = room / "outside"
    outside.write_text("as it was")
    own = "echo a > inside; echo b > $HOME/b; mkdir d"
    result = await shell(room, f"{own}; echo c > {outside}; rm {outside}; mv inside {room}; touch {room}/n")
    assert result.output.count("Read-only file system") >= 3, result.output
    assert outside.read_text() == "as it was"
    assert sorted(path.name for path in room.iterdir()) == ["outside", "work"]
    assert sorted(path.name for path in (room / "work").iterdir()) == ["d", "inside"]


@whole
async def test_what_is_named_as_writable_is(room: Path) -> None:
    (room / "cache").mkdir()
    (room / "file").write_text("old")
    script = f"echo a > {room}/cache/a; echo new > {room}/file; echo b > {room}/other; echo c > /dev/null"
    result = await shell(room, script, writable=(room / "cache", room / "file", room / "not-there"))
    assert (room / "cache" / "a").exists()
    assert (room / "file").read_text() == "new\n"
    assert not (room / "other").exists(), result.output


@whole
async def test_what_is_hidden_looks_empty_to_it_alone(room: Path) -> None:
    keys, state = room / ".env", room / "var"
    keys.write_text("KEY=swordfish")
    state.mkdir()
    (state / "database").write_text("swordfish")
    result = await shell(room, f"cat {keys}; ls {state}; echo x > {keys}; echo over", hidden=(keys, state))
    assert result.output == "over\n"
    assert keys.read_text() == "KEY=swordfish"
    assert (state / "database").read_text() == "swordfish"


@whole
@pytest.mark.parametrize("before", ["file", "link", "nothing"])
async def test_what_comes_while_a_command_runs_is_hidden_too(room: Path, before: str) -> None:
    """As an editor saves a file, as a database makes its log, as a backup makes a folder."""
    keys, state = room / "work" / ".env", room / "var"
    if before == "file":
        keys.write_text("KEY=old swordfish")
    elif before == "link":
        (room / "keys").write_text("KEY=old swordfish")
        keys.symlink_to(room / "keys")
    state.mkdir()
    script = f"""
        touch ready
        until [ -e {room}/work/done ]; do sleep 0.01; done
        cat .env {state}/orchestrator.db-wal {state}/backups/one
        ls -A {state}
        echo over
    """

    async def save() -> None:
        await until_async((room / "work" / "ready").exists)
        for number in range(3):
            (room / "work" / "new").write_text(f"KEY={number} swordfish")
            (room / "work" / "new").rename(keys)
        (state / "backups").mkdir()
        for path in (state / "orchestrator.db-wal", state / "backups" / "one"):
            path.write_text("swordfish")
        await anyio.sleep(0.05)
        (room / "work" / "done").touch()

    async with anyio.create_task_group() as group:
        group.start_soon(save)
        result = await shell(room, script, hidden=(keys, state))
    assert "swordfish" not in result.output
    assert result.output.endswith("over\n")
    assert keys.read_text() == "KEY=2 swordfish"


@whole
async def test_only_what_is_kept_of_a_hidden_folder_is_there(room: Path) -> None:
    workspace = room / "var" / "worktrees" / "one"
    for folder in (workspace, room / "var" / "worktrees" / "other", room / "var" / "caches"):
        folder.mkdir(parents=True)
        (folder / "file").write_text(folder.name)
    rules = IsolationRules(hidden=(room / "var",), kept=(workspace, room / "var" / "caches", room / "var" / "none"))
    script = "cat file ../../caches/file ../other/file; ls ../..; echo new > file; echo no > ../x"
    limits = SandboxLimits(seconds=20, isolation=rules)
    result = await sandbox.run(("sh", "-c", script), workspace, limits)
    assert result.output.startswith("onecaches"), result.output
    assert "caches\nworktrees\n" in result.output
    assert (workspace / "file").read_text() == "new\n"
    assert not (room / "var" / "worktrees" / "x").exists()


@whole
async def test_mode_owner_and_time_of_what_is_outside_stay(room: Path) -> None:
    outside = room / "outside"
    outside.write_text("as it was")
    before = outside.stat()
    attempts = f"chmod 777 {outside} {room}; chown 12345 {outside}; touch -d 2001-01-01 {outside}; ln {outside} link"
    result = await shell(room, f"{attempts}; touch own; chmod 700 own; echo $?")
    assert result.output.endswith("\n0\n"), result.output
    after = outside.stat()
    assert (after.st_mode, after.st_uid, after.st_mtime, after.st_nlink) == (
        before.st_mode,
        before.st_uid,
        before.st_mtime,
        1,
    )
    assert room.stat().st_mode & 0o777 != 0o777


@whole
async def test_shared_memory_is_its_own_and_ends_with_it(room: Path) -> None:
    segments = Path("/proc/sysvipc/shm")
    before = segments.read_text()
    made = await shell(room, "ipcmk --shmem 1000000")
    assert "Shared memory id" in made.output or made.exit_code == 127, made.output
    assert segments.read_text() == before
    mark = Path("/dev/shm") / f"ours-{os.getpid()}"
    mark.write_text("ours")
    try:
        result = await shell(room, f"ls /dev/shm; head -c 400m /dev/zero > /dev/shm/much; touch {mark.parent}/theirs")
    finally:
        mark.unlink()
    assert mark.name not in result.output
    assert "No space left" in result.output
    assert not list(mark.parent.glob("theirs"))


@whole
async def test_the_repository_of_its_workspace_cannot_be_made_to_run_something(room: Path) -> None:
    """The user's next git command would do it, outside of the wall."""
    work = room / "work"
    git = partial(subprocess.run, cwd=work, check=True, capture_output=True, text=True)
    git(["git", "init", "-q"])
    (work / "a").write_text("old\n")
    git(["git", "add", "a"])
    before = (work / ".git" / "config").read_text()
    attempts = (
        "echo '#!/bin/sh' > .git/hooks/pre-commit; git config core.fsmonitor ./evil; echo ../evil > .git/commondir; "
        "mv .git other; rm -rf .git; mkdir -p .git/hooks; echo new > a; git diff"
    )
    result = await shell(room, attempts)
    assert "+new" in result.output
    assert (work / ".git" / "config").read_text() == before
    assert not (work / ".git" / "hooks" / "pre-commit").exists()
    assert not (work / ".git" / "commondir").exists()
    allowed = await shell(room, "git add a; git diff --cached --stat", writable=(work / ".git",))
    assert "a | 1" in allowed.output or "1 file changed" in allowed.output, allowed.output


@whole
async def test_it_reaches_servers_of_its_own_and_no_others(room: Path) -> None:
    script = (
        "import socket, sys\n"
        "own = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(own.getsockname(), 5)\n"
        "print('own')\n"
        "socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)\n"
        "print('ours')\n"
    )
    (room / "work" / "try.py").write_text(script)
    with socket.create_server(("127.0.0.1", 0)) as ours:
        command = f"{sys.executable} try.py {ours.getsockname()[1]}"
        cut = await shell(room, command)
        assert cut.output.startswith("own\n")
        assert "refused" in cut.output
        open_ = await shell(room, command, network=True)
        assert open_.output == "own\nours\n"


@whole
async def test_it_can_neither_end_nor_look_into_our_processes(room: Path) -> None:
    result = await shell(room, f"kill -TERM {os.getpid()}; cat /proc/{os.getpid()}/environ; echo alive")
    assert result.output.endswith("alive\n")
    assert "not permitted" in result.output
    assert "Permission denied" in result.output


@whole
async def test_it_cannot_take_its_wall_down(room: Path) -> None:
    keys = room / ".env"
    keys.write_text("KEY=swordfish")
    attempts = (
        f"umount {keys}; mount --bind {room} /mnt; nsenter -t {os.getppid()} -m cat {keys}; unshare -rm umount {keys}"
    )
    result = await shell(room, f"{attempts}; cat {keys}; echo over", hidden=(keys,))
    assert "swordfish" not in result.output
    assert result.output.endswith("over\n")


@whole
async def test_its_limits_hold_behind_the_wall_too(room: Path) -> None:
    limits = SandboxLimits(seconds=0.5, isolation=IsolationRules())
    result = await sandbox.run(("sh", "-c", "trap : TERM; while :; do sleep 0.1; done"), room / "work", limits)
    assert result.stopped == "it took longer than 0.5 s"


class Refusing:
    """A kernel that lets nothing be closed off."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: -1


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Refusing:
    monkeypatch.setattr(isolation, "_write", lambda *_: None)
    return Refusing()


@pytest.mark.parametrize(
    ("network", "missing"),
    [(True, ["secrets", "file modes", "files"]), (False, ["secrets", "network", "file modes", "files"])],
)
def test_what_the_kernel_refuses_is_said(refusing: Refusing, network: bool, missing: list[str]) -> None:
    settings = {"hidden": ["/etc/passwd"], **({"network": ["yes"]} if network else {})}
    found, _ = isolation.furnish(settings, refusing)  # type: ignore[arg-type]
    assert [*found, *isolation.confine(settings, refusing)] == missing  # type: ignore[arg-type]


def test_keys_in_the_home_folder_are_hidden_except_for_those_that_are_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    for name in (".ssh", ".aws", ".kube", ".config/gh", "project"):
        (home / name).mkdir(parents=True)
    (home / ".netrc").write_text("machine x password y")
    monkeypatch.setenv("HOME", str(home))
    commands = {"visible": ["~/.ssh"], "writable": ["~/.kube/cache"]}
    configuration = Configuration.model_validate({"runtime": {"commands": commands}})
    built = isolation_for(configuration, home / "project", home / "project")
    assert built is not None
    assert set(built.hidden) == {home / "project" / ".env", home / ".aws", home / ".config/gh", home / ".netrc"}


def test_the_keys_and_the_state_of_the_project_are_hidden_and_the_way_to_the_workspace_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    workspace = tmp_path / "var" / "demo" / "one"
    workspace.mkdir(parents=True)
    (tmp_path / ".env").write_text("")
    (tmp_path / "var" / "orchestrator.db").write_text("")
    (tmp_path / "var" / "backups").mkdir()
    commands = {"writable": ["~/.cache/tool", "build"]}
    configuration = Configuration.model_validate({"runtime": {"commands": commands}})
    built = isolation_for(configuration, tmp_path, workspace)
    assert built is not None
    assert built.hidden == (tmp_path / ".env", tmp_path / "var")
    assert built.kept == (workspace, tmp_path / "var" / "caches")
    assert built.writable == (Path.home() / ".cache/tool", tmp_path / "build")
    assert (built.network, built.required) == (False, False)


def test_the_wall_can_be_left_out_and_be_insisted_on(tmp_path: Path) -> None:
    def built(setting: str) -> IsolationRules | None:
        configuration = Configuration.model_validate({"runtime": {"commands": {"wall": setting}}})
        return isolation_for(configuration, tmp_path, tmp_path)

    assert built("off") is None
    assert (required := built("required")) is not None
    assert required.required


@whole
async def test_a_project_may_be_its_own_workspace(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KEY=swordfish")
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "orchestrator.db").write_text("swordfish")
    limits = SandboxLimits(isolation=isolation_for(Configuration(), tmp_path, tmp_path))
    script = "cat .env; ls -A var; echo mended > code.py; cat code.py"
    result = await sandbox.run(("sh", "-c", script), tmp_path, limits)
    assert result.output == "mended\n"
    assert (tmp_path / "code.py").exists()
