"""Reviews of real responses: kept up to date from the records, and never over what a person wrote."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from orchestration.app.live_reviews import LiveReviews
from orchestration.app.review_files import ReviewFiles
from orchestration.app.reviews import IncidentReviews
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.mitigation import BeginMitigation
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.commands.review_field import WriteReview
from orchestration.incidents.model import Incident, ReviewField, person
from orchestration.playbooks.catalogue import load
from orchestration.playbooks.model import Playbook
from tests.integration.playbooks.test_runner import CURE, WORSE, playbook
from tests.support.incidents import ADA
from tests.support.patience import until_async
from tests.support.responses import ResponseRoom


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ResponseRoom]:
    room = ResponseRoom(tmp_path)
    yield room
    room.database.close()


def reviews(room: ResponseRoom) -> IncidentReviews:
    return IncidentReviews(room.folder, room.database, room.incident_service.records, room.clock)


def write_playbook(room: ResponseRoom, text: str) -> None:
    """For the response, and where reviews look for it."""
    room.write_playbook(text)
    folder = room.folder / "config" / "playbooks"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(text)


def patched(folder: Path, diff: str) -> Playbook:
    command = ("patch", "-p1", "--fuzz=0", "--batch")
    done = subprocess.run(command, cwd=folder, input=diff.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    return load(folder / "config" / "playbooks" / "mine.yaml").playbook


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0].strip()


def markdown(room: ResponseRoom, incident: Incident) -> str:
    return reviews(room).markdown(room.incident(incident.id))


async def test_a_review_shows_what_was_checked_what_helped_and_what_should_change(room: ResponseRoom) -> None:
    write_playbook(room, playbook(WORSE, CURE, pointing_to="worse"))
    incident = room.an_incident()
    room.incident_service.execute(incident.id, person("local"), Acknowledge())
    room.incident_service.execute(incident.id, ADA, AddNote("the disk was swapped | yesterday"))
    await room.respond(incident)
    text = markdown(room, incident)
    assert "by user local" in text.split("## ", 1)[0]
    assert "the second would help (60 of 100; first-look.there: False)" in section(text, "Root cause")
    assert "noted by user ada: the disk was swapped | yesterday" in section(text, "Contributing factors")
    # One row for each answer, not for each check.
    checks = [line for line in section(text, "Checks").splitlines() if "| verify |" in line]
    assert len(checks) == 2
    assert " times, last " in checks[0]
    assert "did not help: Try what does not help" in section(text, "What helped")
    assert "| not yet |" in section(text, "Notifications")
    change = section(text, "Proposed change to the playbook")
    assert "`worse` was tried before `cure`" in change
    diff = change.split("```diff\n", 1)[1].split("```", 1)[0]
    after = patched(room.folder, diff)
    assert (after.hypotheses[0].points_to, after.version) == ("cure", 2)


async def test_what_a_person_did_by_hand_is_proposed_as_an_option(room: ResponseRoom) -> None:
    write_playbook(room, playbook(WORSE))
    incident = room.an_incident()
    await room.respond(incident)
    room.incident_service.execute(incident.id, ADA, BeginMitigation('replaced the "cable"'))
    change = section(markdown(room, incident), "Proposed change to the playbook")
    assert 'says: "replaced the \\"cable\\""' in change


async def test_what_a_person_wrote_stays_whatever_happens_later(room: ResponseRoom) -> None:
    write_playbook(room, playbook(CURE))
    incident = room.an_incident()
    room.incident_service.execute(incident.id, ADA, WriteReview(ReviewField.ROOT_CAUSE, "the cable was loose"))
    await room.respond(incident)
    found = room.incident(incident.id)
    assert found.review[ReviewField.ROOT_CAUSE] == "the cable was loose"
    cause = section(markdown(room, incident), "Root cause")
    assert cause.startswith("the cable was loose\n\n_Written by user ada._")
    # What the records say is beside it, and can be taken over.
    newer = reviews(room).suggestions(found)[ReviewField.ROOT_CAUSE]
    assert "the second would help" in newer
    assert f"> {newer}" in cause
    room.incident_service.execute(incident.id, ADA, WriteReview(ReviewField.ROOT_CAUSE, newer))
    assert "the cable" not in section(markdown(room, incident), "Root cause")


async def test_the_file_follows_the_incident_until_a_person_edits_it(room: ResponseRoom) -> None:
    incident = room.an_incident()
    files = ReviewFiles(reviews(room), room.incident_service.records, room.folder / "reviews")
    live = LiveReviews(files, room.incident_service.records, room.clock)
    room.bus.subscribe(live.on_event)
    path = room.folder / "reviews" / f"{incident.id}.md"
    async with anyio.create_task_group() as group:
        group.start_soon(live.run, 0.05)
        await until_async(path.exists, 15)
        room.incident_service.execute(incident.id, ADA, AddNote("it began with the update"))
        await until_async(lambda: "it began with the update" in path.read_text(), 15)
        edited = path.read_text().replace("it began", "I think that it began")
        path.write_text(edited)
        room.incident_service.execute(incident.id, ADA, AddNote("and ended with it"))
        beside = path.with_suffix(".current.md")
        await until_async(lambda: beside.exists() and "and ended with it" in beside.read_text(), 15)
        assert path.read_text() == edited
        group.cancel_scope.cancel()
