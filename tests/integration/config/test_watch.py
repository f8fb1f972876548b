"""Edits of real files by real editors' habits, followed within the promised two seconds."""

from __future__ import annotations

import threading
from pathlib import Path

import anyio
import pytest

from orchestration.clock import SystemClock
from orchestration.config.watcher import changes
from tests.integration.config.conftest import Project, text, until, watching
from tests.support.patience import fail_after

EDITED = text(defaultProvider="spare", fallbackProviders=["ollama"])


def write_in_place(path: Path) -> None:
    path.write_text(EDITED)


def replace_by_rename(path: Path) -> None:
    new = path.with_name("agents.config.json.tmp")
    new.write_text(EDITED)
    new.replace(path)


def keep_a_backup_and_write_anew(path: Path) -> None:
    path.rename(path.with_name("agents.config.json~"))
    path.write_text(EDITED)


def delete_and_make_again(path: Path) -> None:
    path.unlink()
    path.write_text(EDITED)


@pytest.mark.parametrize(
    "edit", [write_in_place, replace_by_rename, keep_a_backup_and_write_anew, delete_and_make_again]
)
async def test_an_edit_is_in_force_within_two_seconds(project: Project, edit: object) -> None:
    assert callable(edit)
    store = project.store()
    store.open()
    async with watching(store):
        await anyio.sleep(0.1)
        edit(project.path)
        took = await until(lambda: store.current.runtime.default_provider == "spare")
    assert took < 2
    assert project.said("configuration.refused") == []


async def test_a_file_that_is_written_in_pieces_is_read_when_it_is_whole(project: Project) -> None:
    store = project.store()
    store.open()
    async with watching(store):
        await anyio.sleep(0.1)
        with project.path.open("w") as file:
            for start in range(0, len(EDITED), 60):
                file.write(EDITED[start : start + 60])
                file.flush()
                await anyio.sleep(0.02)
        await until(lambda: store.current.runtime.default_provider == "spare")
    assert project.said("configuration.refused") == []


async def test_a_bad_edit_is_refused_and_a_good_one_after_it_is_taken(project: Project) -> None:
    store = project.store()
    store.open()
    async with watching(store):
        project.path.write_text("{")
        await until(lambda: bool(store.refused))
        assert store.current.runtime.default_provider == "ollama"
        replace_by_rename(project.path)
        await until(lambda: store.current.runtime.default_provider == "spare")


async def test_a_new_env_file_is_followed_as_well(project: Project) -> None:
    store = project.store()
    store.open()
    async with watching(store):
        project.env.write_text("OPENAI_API_KEY=a-new-key-for-you\n")
        await until(lambda: store.credentials.get("OPENAI_API_KEY") is not None)


async def test_the_folder_may_be_taken_away_and_come_back(project: Project) -> None:
    store = project.store()
    store.open()
    async with watching(store):
        await anyio.sleep(0.1)
        away = project.path.parent.rename(project.root / "elsewhere")
        await until(lambda: bool(store.refused))
        (away / "agents.config.json").write_text(EDITED)
        away.rename(project.path.parent)
        await until(lambda: store.current.runtime.default_provider == "spare")


async def test_subscribers_are_called_on_the_thread_that_watches(project: Project) -> None:
    store = project.store()
    store.open()
    threads: list[threading.Thread] = []
    store.subscribe(lambda _: threads.append(threading.current_thread()))
    async with watching(store):
        write_in_place(project.path)
        await until(lambda: bool(threads))
    assert threads == [threading.current_thread()]


async def test_where_changes_are_not_told_the_files_are_looked_at_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "not-yet" / "file.json"
    seen: list[bool] = []
    with fail_after(5):
        async for _ in changes([path], path.exists, SystemClock()):
            seen.append(path.exists())
            if seen[-1]:
                break
            path.parent.mkdir()
            path.touch()
    assert seen == [False, True]
