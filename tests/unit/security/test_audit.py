from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from orchestration.security.vulnerabilities import affects, audit, installed

NOW = datetime(2026, 3, 10, tzinfo=UTC)


def record(name: str = "Some_Package", **changes: Any) -> dict[str, Any]:
    return {
        "id": "PYSEC-2026-1",
        "modified": "2026-03-08T00:00:00Z",
        "aliases": ["CVE-2026-1"],
        "summary": "reads what it should not",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": name},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.2"}, {"fixed": "1.4.1"}]}],
            }
        ],
        **changes,
    }


def ranges(*events: dict[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


def write(folder: Path, *records: object) -> Path:
    folder.mkdir(exist_ok=True)
    for number, one in enumerate(records):
        (folder / f"{number}.json").write_text(one if isinstance(one, str) else json.dumps(one))
    return folder


def test_an_installed_package_in_the_range_of_an_advisory_is_found_whatever_its_spelling(tmp_path: Path) -> None:
    found = audit({"some.package": "1.3", "other": "1.3"}, write(tmp_path, record()))
    (one,) = found.vulnerabilities
    assert (one.package, one.version, one.advisory, one.fixed) == ("some-package", "1.3", "PYSEC-2026-1", "1.4.1")
    assert one.aliases == ("CVE-2026-1",)
    assert found.verdict(NOW) == "1 known vulnerabilities in 2 packages, by 1 advisories, the newest 2 days old"


@pytest.mark.parametrize(
    ("version", "hit"),
    [("1.1", False), ("1.2", True), ("1.4.1rc1", True), ("1.4.1", False), ("2.0", False), ("not a version", False)],
)
def test_ranges_begin_with_introduced_and_end_before_fixed(tmp_path: Path, version: str, hit: bool) -> None:
    found = audit({"some-package": version}, write(tmp_path, record()))
    assert bool(found.vulnerabilities) is hit


@pytest.mark.parametrize(
    ("affected", "version", "hit"),
    [
        ({"versions": ["1.0", "1.0.1"]}, "1.0.0", True),
        ({"versions": ["2004c"]}, "2004c", True),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "2.0"}]}]}, "2.0", True),
        (
            {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"last_affected": "2.0"}]}]},
            "2.0.1",
            False,
        ),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}, "0.dev1", True),
        ({"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, "1.0", False),
        (ranges({"introduced": "0"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"fixed": "2.3"}), "1.9", False),
        ({"ranges": "odd", "versions": None}, "1.0", False),
    ],
    ids=["equal", "listed only", "last affected", "after it", "from zero", "commits", "between two ranges", "odd"],
)
def test_what_an_entry_covers(affected: dict[str, Any], version: str, hit: bool) -> None:
    assert affects(affected, version) is hit


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8, unique=True).map(sorted), st.integers(0, 50), st.randoms())
def test_a_version_is_covered_when_the_last_event_up_to_it_is_an_introduction(
    numbers: list[int], version: int, random: Any
) -> None:
    kinds = ["introduced", "fixed"]
    events = [{kinds[place % 2]: f"{number}.0"} for place, number in enumerate(numbers)]
    before = [place for place, number in enumerate(numbers) if Version(f"{number}.0") <= Version(f"{version}")]
    random.shuffle(events)
    assert affects(ranges(*events), str(version)) is bool(before and before[-1] % 2 == 0)


def test_other_ecosystems_and_withdrawn_records_do_not_count(tmp_path: Path) -> None:
    npm = record()
    npm["affected"][0]["package"]["ecosystem"] = "npm"
    found = audit({"some-package": "1.3"}, write(tmp_path, npm, record(withdrawn="2026-03-09T00:00:00Z")))
    assert (found.vulnerabilities, found.advisories) == ((), 2)


def test_without_advisories_nothing_is_said_to_be_well(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", write(tmp_path / "odd", "{", "[]", '{"id": 5, "affected": []}')):
        found = audit({"some-package": "1.3"}, folder)
        assert found.verdict(NOW).startswith("not audited: expected advisories")
    assert found.unreadable == 3


def test_old_advisories_are_said_to_be_old(tmp_path: Path) -> None:
    found = audit(
        {"some-package": "9"}, write(tmp_path, record(modified="2026-01-01T00:00:00Z"), record(modified="soon"))
    )
    assert found.verdict(NOW) == (
        "no known vulnerability in 1 packages, by 2 advisories, the newest 68 days old; "
        "they are too old to be relied on, renew them"
    )


def test_the_installed_packages_are_those_of_this_interpreter(tmp_path: Path) -> None:
    packages = installed()
    assert Version(packages["packaging"]) >= Version("25")
    hit = record("SQLAlchemy")
    hit["affected"][0]["ranges"][0]["events"] = [{"introduced": "0"}]
    (one,) = audit(packages, write(tmp_path, hit)).vulnerabilities
    assert (one.package, one.version, one.fixed) == ("sqlalchemy", packages["sqlalchemy"], "")


def test_of_a_package_that_is_installed_twice_the_one_that_is_imported_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, version in (("older", "1.0"), ("newer", "2.0")):
        info = tmp_path / folder / f"twice-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: twice\nVersion: {version}\n")
        # Each in front of the one before, as a user's own folder is in front of the system's.
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    assert installed()["twice"] == "2.0"
