"""The store on real files and a real database, looked at by hand: `refresh` instead of `watch`."""

from __future__ import annotations

import os
import stat
import time
from datetime import UTC, datetime

import pytest

from orchestration.clock import FakeClock
from orchestration.config.findings import ConfigurationError, FindingCode
from orchestration.config.overrides import LimitProvider, PinConfiguration, RouteTo
from orchestration.config.schema import Configuration
from orchestration.errors import NotFoundError
from orchestration.storage.database import Database
from tests.integration.config.conftest import Project, text

OLD_KEY, NEW_KEY = "old-key-old-key-1", "new-key-new-key-2"


def provider(configuration: Configuration) -> str:
    return configuration.runtime.default_provider


def test_opening_puts_the_file_in_force_and_keeps_it_as_the_first_version(project: Project) -> None:
    store = project.store()
    assert provider(store.open()) == "ollama"
    assert store.number == 1
    assert [(version.number, version.text) for version in store.history()] == [(1, text())]
    assert [event.kind for event in project.events] == ["configuration.loaded"]


def test_opening_a_bad_file_fails_with_everything_that_is_wrong(project: Project) -> None:
    project.path.write_text(text(defaultProvider="nobody", logDirectory=".."))
    with pytest.raises(ConfigurationError) as caught:
        project.store().open()
    assert {finding.code for finding in caught.value.findings} == {
        FindingCode.UNKNOWN_PROVIDER,
        FindingCode.BAD_DIRECTORY,
    }


def test_a_worker_that_starts_while_somebody_edits_goes_on_with_the_last_good_version(project: Project) -> None:
    project.store().open()
    project.path.write_text("{ half of")
    store = project.store()
    assert provider(store.open(or_last_good=True)) == "ollama"
    assert [finding.code for finding in store.refused] == [FindingCode.SYNTAX]
    project.path.write_text(text(defaultProvider="spare"))
    store.refresh()
    assert (provider(store.current), store.refused) == ("spare", ())


def test_the_same_text_twice_in_a_row_is_one_version(project: Project) -> None:
    store = project.store()
    store.open()
    for content in (text(), text(defaultProvider="spare"), text(defaultProvider="spare"), text()):
        project.path.write_text(content)
        store.refresh()
    project.store().open()
    assert [version.number for version in store.history()] == [3, 2, 1]
    assert store.number == 3


def test_subscribers_hear_of_changes_and_of_nothing_else(project: Project) -> None:
    store = project.store()
    store.open()
    heard: list[str] = []
    leave = store.subscribe(lambda configuration: heard.append(provider(configuration)))
    store.refresh()
    project.path.write_text(text(defaultProvider="spare", fallbackProviders=["ollama"]))
    store.refresh()
    project.path.touch()
    store.refresh()
    leave()
    project.path.write_text(text())
    store.refresh()
    assert heard == ["spare"]


def test_subscribers_hear_of_a_new_key_too(project: Project) -> None:
    store = project.store()
    store.open()
    heard: list[str | None] = []
    store.subscribe(lambda _: heard.append(store.credentials.get("OPENAI_API_KEY")))
    project.env.write_text(f"OPENAI_API_KEY={NEW_KEY}\n")
    store.refresh()
    store.refresh()
    assert heard == [NEW_KEY]


def test_a_bad_edit_is_refused_with_its_place_and_the_last_good_one_stays(project: Project) -> None:
    store = project.store()
    store.open()
    project.path.write_text(text(defaultProvider="nobody"))
    store.refresh()
    store.refresh()
    assert provider(store.current) == "ollama"
    (event,) = project.said("configuration.refused")
    (finding,) = event.data["findings"]
    assert (finding["code"], finding["file"], finding["line"]) == ("E009", str(project.path), 3)
    assert len(store.history()) == 1
    project.path.write_text(text())
    store.refresh()
    assert store.refused == ()


def test_deleting_the_file_is_refused_and_making_it_again_is_followed(project: Project) -> None:
    store = project.store()
    store.open()
    project.path.unlink()
    store.refresh()
    assert provider(store.current) == "ollama"
    assert [finding.code for finding in store.refused] == [FindingCode.UNREADABLE]
    project.path.write_text(text(defaultProvider="spare"))
    store.refresh()
    assert provider(store.current) == "spare"


def test_a_rotated_key_counts_at_once_and_neither_value_ever_shows(project: Project) -> None:
    project.env.write_text(f"OPENAI_API_KEY={OLD_KEY}\n")
    store = project.store()
    store.open()
    assert store.credentials.get("OPENAI_API_KEY") == OLD_KEY
    project.env.write_text(f"OPENAI_API_KEY={NEW_KEY}\n")
    store.refresh()
    assert store.credentials.get("OPENAI_API_KEY") == NEW_KEY
    assert [event.data for event in project.said("credentials.changed")] == [{"names": ["OPENAI_API_KEY"]}]
    assert project.redactor.text(f"{OLD_KEY} {NEW_KEY}") == "[redacted:credential] [redacted:credential]"
    assert len(store.history()) == 1


def test_a_rotated_key_counts_even_while_the_file_is_broken(project: Project) -> None:
    store = project.store()
    store.open()
    project.path.write_text("{")
    project.env.write_text(f"OPENAI_API_KEY={NEW_KEY}\n")
    store.refresh()
    assert store.credentials.get("OPENAI_API_KEY") == NEW_KEY
    assert [finding.code for finding in store.refused] == [FindingCode.SYNTAX]


def test_taking_away_the_key_that_is_in_use_is_refused(project: Project) -> None:
    project.env.write_text(f"OPENAI_API_KEY={OLD_KEY}\n")
    project.path.write_text(text(defaultProvider="cloud"))
    store = project.store()
    store.open()
    project.env.unlink()
    store.refresh()
    assert store.credentials.get("OPENAI_API_KEY") == OLD_KEY
    assert [finding.code for finding in store.refused] == [FindingCode.CREDENTIALS_MISSING]


def test_a_file_that_waits_for_its_key_is_taken_when_the_key_comes(project: Project) -> None:
    store = project.store()
    store.open()
    project.path.write_text(text(defaultProvider="cloud"))
    store.refresh()
    assert provider(store.current) == "ollama"
    project.env.write_text(f"OPENAI_API_KEY={NEW_KEY}\n")
    store.refresh()
    assert (provider(store.current), store.refused) == ("cloud", ())


def test_an_edit_counts_even_while_env_is_unreadable(project: Project) -> None:
    store = project.store()
    store.open()
    project.env.write_bytes(b"A=\xff")
    project.path.write_text(text(defaultProvider="spare"))
    store.refresh()
    assert provider(store.current) == "spare"
    assert [(finding.code, finding.file) for finding in store.refused] == [(FindingCode.NOT_UTF8, str(project.env))]


def test_a_variable_of_the_process_wins_over_an_edit_of_env(project: Project) -> None:
    store = project.store({"OPENAI_API_KEY": OLD_KEY})
    store.open()
    project.env.write_text(f"OPENAI_API_KEY={NEW_KEY}\n")
    store.refresh()
    assert store.credentials.get("OPENAI_API_KEY") == OLD_KEY


def test_a_rollback_writes_the_file_whole_and_keeps_its_rights(project: Project) -> None:
    store = project.store()
    store.open()
    project.path.write_text(text(defaultProvider="spare"))
    project.path.chmod(0o640)
    store.refresh()
    store.rollback(1)
    assert provider(store.current) == "spare"
    store.refresh()
    assert (project.path.read_text(), provider(store.current)) == (text(), "ollama")
    assert stat.S_IMODE(project.path.stat().st_mode) == 0o640
    assert [entry.name for entry in project.path.parent.iterdir()] == ["agents.config.json"]
    assert store.number == 3


def test_a_rollback_goes_through_a_link_to_the_file_behind_it(project: Project) -> None:
    store = project.store()
    store.open()
    behind = project.path.rename(project.root / "shared.json")
    project.path.symlink_to(behind)
    behind.write_text(text(defaultProvider="spare"))
    store.refresh()
    store.rollback(1)
    assert project.path.is_symlink()
    assert behind.read_text() == text()


def test_a_version_that_cannot_be_used_today_is_not_written(project: Project) -> None:
    project.env.write_text(f"OPENAI_API_KEY={OLD_KEY}\n")
    project.path.write_text(text(defaultProvider="cloud"))
    store = project.store()
    store.open()
    project.path.write_text(text())
    store.refresh()
    project.env.unlink()
    store.refresh()
    with pytest.raises(ConfigurationError, match="E013"):
        store.rollback(1)
    assert project.path.read_text() == text()
    with pytest.raises(NotFoundError, match="no configuration version 9"):
        store.rollback(9)


def test_two_versions_are_compared_by_number(project: Project) -> None:
    store = project.store()
    store.open()
    project.path.write_text(text(defaultProvider="spare"))
    store.refresh()
    (difference,) = store.diff(1, 2)
    assert (difference.path, difference.before, difference.after) == ("runtime.defaultProvider", "ollama", "spare")


async def test_an_override_counts_at_once_everywhere_and_ends_by_itself(project: Project) -> None:
    clock = project.clock = FakeClock(datetime.now(UTC))
    here, elsewhere = project.store(), project.store()
    here.open()
    elsewhere.open()
    heard: list[int] = []
    here.subscribe(lambda configuration: heard.append(configuration.runtime.providers["ollama"].concurrency))
    change = LimitProvider(target="ollama", concurrency=1)
    here.add_override(change, reason="memory is short", actor="playbook", seconds=60)
    elsewhere.refresh()
    assert elsewhere.current.runtime.providers["ollama"].concurrency == 1
    await clock.advance(61)
    assert here.current.runtime.providers["ollama"].concurrency == 4
    here.refresh()
    assert heard == [1, 4]
    assert project.path.read_text() == text()


def test_an_override_ends_when_a_person_takes_it_away(project: Project) -> None:
    store = project.store()
    store.open()
    override = store.add_override(RouteTo(provider="spare"), reason="ollama is slow", actor="anna")
    assert provider(store.current) == "spare"
    store.remove_override(override.id, actor="anna")
    assert provider(store.current) == "ollama"
    with pytest.raises(NotFoundError):
        store.remove_override(override.id, actor="anna")
    assert [(e.kind, e.actor) for e in project.events[-2:]] == [
        ("override.added", "anna"),
        ("override.removed", "anna"),
    ]


def test_a_person_who_edits_the_default_provider_is_obeyed_at_once_whatever_was_routed(project: Project) -> None:
    project.env.write_text(f"OPENAI_API_KEY={NEW_KEY}\n")
    store = project.store()
    store.open()
    store.add_override(RouteTo(provider="spare"), reason="ollama is slow", actor="playbook", seconds=3600)
    project.path.write_text(text(whenBusy="wait"))
    store.refresh()
    assert provider(store.current) == "spare"
    project.path.write_text(text(defaultProvider="cloud"))
    store.refresh()
    assert provider(store.current) == "cloud"
    again = project.store()
    assert provider(again.open()) == "cloud"


def test_an_override_that_would_break_the_configuration_is_refused(project: Project) -> None:
    store = project.store()
    store.open()
    for target in ("nobody", "cloud"):
        with pytest.raises(ConfigurationError, match=r"E009|E013"):
            store.add_override(RouteTo(provider=target), reason="r", actor="a")
    assert project.overrides.list_active(datetime.now(UTC)) == ()


def test_an_earlier_version_is_pinned_without_touching_the_file(project: Project) -> None:
    store = project.store()
    store.open()
    project.path.write_text(text(defaultProvider="spare"))
    store.refresh()
    document = {"runtime": {"ollama": {"defaultModel": "small"}}}
    store.add_override(PinConfiguration(number=1, document=document), reason="it broke", actor="playbook")
    assert provider(store.current) == "ollama"
    assert project.path.read_text() == text(defaultProvider="spare")
    assert "document" not in project.said("override.added")[0].data["change"]


def test_an_edit_counts_while_the_database_is_away_and_that_is_said_once(project: Project) -> None:
    store = project.store()
    store.open()
    store.add_override(LimitProvider(concurrency=1), reason="r", actor="a")
    with project.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE config_versions RENAME TO gone")
    for name in ("spare", "ollama"):
        project.path.write_text(text(defaultProvider=name))
        os.utime(project.path, ns=(time.time_ns(), time.time_ns()))
        store.refresh()
        assert provider(store.current) == name
    assert store.current.runtime.providers["ollama"].concurrency == 1
    assert len(project.said("configuration.unrecorded")) == 1


def test_using_the_store_before_it_is_open_is_a_mistake_of_the_programmer(project: Project) -> None:
    with pytest.raises(RuntimeError, match="open"):
        _ = project.store().current


def test_versions_and_overrides_outlive_the_process(project: Project) -> None:
    store = project.store()
    store.open()
    store.add_override(RouteTo(provider="spare"), reason="r", actor="a")
    project.database.close()
    project.database = Database(project.database.url)
    again = project.store()
    assert provider(again.open()) == "spare"
    assert len(again.history()) == 1
