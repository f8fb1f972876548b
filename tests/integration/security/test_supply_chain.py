"""Advisories from folders, archives and real servers, also hostile ones; and the bill of materials."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from orchestration.app.doctor import advisories as doctor
from orchestration.app.doctor.diagnosis import CheckStatus
from orchestration.config.schema import Configuration
from orchestration.security import advisory_source
from orchestration.security.advisory_source import FETCHED, AdvisoryError, last_update, update
from orchestration.security.bill_of_materials import bill_of_materials, licence_of, pinned_hashes
from orchestration.security.vulnerabilities import audit
from tests.support.console import REPOSITORY, ConsoleProject
from tests.support.receivers import Answer, http_receiver

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def a_record(name: str, package: str = "click", ecosystem: str = "PyPI") -> bytes:
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]
    affected = [{"package": {"ecosystem": ecosystem, "name": package}, "ranges": ranges}]
    return json.dumps({"id": name, "modified": "2026-10-30T00:00:00Z", "affected": affected}).encode()


def archive(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return path


def test_from_nothing_to_a_finding_by_the_console(tmp_path: Path) -> None:
    project = ConsoleProject(tmp_path / "p")
    assert "never audited" in project.call("doctor").out
    source = archive(tmp_path / "all.zip", {f"PYSEC-{number}.json": a_record(f"PYSEC-{number}") for number in range(3)})
    done = project.call("advisories", "update", "--from", str(source), "--json").json()
    assert (done["records"], done["source"]) == (3, str(source))
    listed = project.call("advisories", "list")
    assert (listed.code, "click" in listed.out, "fetched" in listed.out) == (1, True, True)
    found = project.call("advisories", "list", "--json").json()
    assert found["vulnerabilities"][0]["package"] == "click"
    assert project.call("advisories", "update", "--from", str(tmp_path / "missing")).code == 1


async def test_from_an_address(tmp_path: Path) -> None:
    data = io.BytesIO()
    archive(data, {"PYSEC-1.json": a_record("PYSEC-1")})  # type: ignore[arg-type]
    with http_receiver() as server:
        server.answer = Answer(500, "broken")
        with pytest.raises(AdvisoryError, match="answered 500"):
            await update(tmp_path, f"{server.url}/all.zip", lambda: NOW)
        server.answer = Answer(200, "no archive")
        with pytest.raises(AdvisoryError, match="no archive that can be read"):
            await update(tmp_path, f"{server.url}/all.zip", lambda: NOW)
    assert last_update(tmp_path) is None
    assert [one.name for one in tmp_path.iterdir()] == []
    with pytest.raises(AdvisoryError, match="was not reached"):
        await update(tmp_path, "http://127.0.0.1:9/all.zip", lambda: NOW)


async def test_a_hostile_archive_writes_nothing_beside_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "advisories"
    evil = {
        "../../outside.json": a_record("PYSEC-OUT"),
        "/etc/outside.json": a_record("PYSEC-ROOT"),
        "a.json": a_record("../../escaped"),
        "b.json": a_record("x/y"),
        "c.json": a_record(".hidden"),
        "d.json": b"[" * 100_000,
        "e.json": b'{"id": "PYSEC-NONE"}',
        "f.json": a_record("NPM-1", ecosystem="npm"),
        "g.txt": a_record("PYSEC-TXT"),
    }
    done = await update(folder, str(archive(tmp_path / "evil.zip", evil)), lambda: NOW)
    assert (done.records, done.skipped) == (2, 6)
    assert sorted(path.name for path in folder.rglob("*.json")) == [
        "PYSEC-OUT.json",
        "PYSEC-ROOT.json",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["advisories", "evil.zip"]


async def test_a_bomb_is_no_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisory_source, "_MOST_UNPACKED", 8_000_000)
    bomb = archive(tmp_path / "bomb.zip", {f"{number}.json": b" " * 4_000_000 for number in range(50)})
    assert bomb.stat().st_size < 300_000
    with pytest.raises(AdvisoryError, match="unpacks to more"):
        await update(tmp_path / "a", str(bomb), lambda: NOW)


async def test_a_bad_source_leaves_what_was_there(tmp_path: Path) -> None:
    folder, mirror = tmp_path / "a", tmp_path / "mirror"
    mirror.mkdir()
    for number in range(10):
        (mirror / f"{number}.json").write_bytes(a_record(f"PYSEC-{number}"))
    own = folder / "own.json"
    folder.mkdir()
    own.write_bytes(a_record("OWN-1"))
    await update(folder, str(mirror), lambda: NOW)
    for number in range(7):
        (mirror / f"{number}.json").unlink()
    with pytest.raises(AdvisoryError, match="--fewer"):
        await update(folder, str(mirror), lambda: NOW)
    assert audit({"click": "8.0"}, folder).advisories == 11
    await update(folder, str(mirror), lambda: NOW, fewer=True)
    assert audit({"click": "8.0"}, folder).advisories == 4, "with the user's own, which stays"
    shutil.rmtree(mirror)
    with pytest.raises(AdvisoryError):
        await update(folder, str(mirror), lambda: NOW)
    assert len(list((folder / FETCHED).glob("PYSEC*"))) == 3


async def test_the_doctor_says_how_old_it_is(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "1.json").write_bytes(a_record("PYSEC-1", package="not-installed-here"))
    configuration = Configuration()
    assert "never audited" in doctor.check(configuration, tmp_path, NOW).found
    await update(tmp_path / "var" / "advisories", str(mirror), lambda: NOW)
    good = doctor.check(configuration, tmp_path, NOW)
    assert (good.health, "fetched 0 days ago" in good.found) == (CheckStatus.OK, True)
    old = doctor.check(configuration, tmp_path, datetime(2026, 12, 1, tzinfo=UTC))
    assert (old.health, "too old" in old.found) == (CheckStatus.WARNING, True)


def test_the_bill_lists_every_package_with_licence_hashes_and_needs() -> None:
    pinned = pinned_hashes((REPOSITORY / "requirements.txt").read_text())
    bill = bill_of_materials(NOW, pinned)
    components: dict[str, Any] = {one["name"]: one for one in bill["components"]}
    installed = {canonicalize_name(one.metadata["Name"]) for one in metadata.distributions()} - {"agent-orchestration"}
    assert set(components) == installed
    references = {one["bom-ref"] for one in components.values()} | {"agent-orchestration"}
    assert all(set(one["dependsOn"]) <= references for one in bill["dependencies"])
    needed = {Requirement(one).name for one in metadata.requires("agent-orchestration") or () if "extra ==" not in one}
    assert len(bill["dependencies"][0]["dependsOn"]) == len({canonicalize_name(one) for one in needed})
    hashes = components["httpx2"]["externalReferences"][0]["hashes"]
    assert all(len(one["content"]) == 64 for one in hashes)
    assert bill_of_materials(NOW, pinned) == bill


def test_every_dependency_has_its_reason_and_licence_on_the_page() -> None:
    page = (REPOSITORY / "docs" / "reference" / "dependencies.md").read_text()
    for text in metadata.requires("agent-orchestration") or ():
        requirement = Requirement(text)
        row = next((line for line in page.splitlines() if line.startswith(f"| {requirement.name} |")), "")
        assert row, f"{requirement.name} has no row"
        _, _, licence, reason, _ = (part.strip() for part in row.split("|"))
        assert len(reason.split()) >= 4, row
        if "extra ==" not in text:
            assert licence == licence_of(metadata.distribution(requirement.name)), row
