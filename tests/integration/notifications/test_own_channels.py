"""A user's own kinds of channel, as installed packages: the one of the how-to, and packages that are broken."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestration.cli import cli
from orchestration.config.channels.kinds import GROUP, find_channel_kind, own_channel_kinds
from orchestration.config.loader import ConfigLoader
from tests.support.plugins import blocks, how_to, install, site_packages
from tests.support.receivers import Answer, HttpReceiver

PAGE = how_to("own-channel")
(CODE,) = blocks(PAGE, "python")
HEAD = "from orchestration.config.channels.descriptor import ChannelDescriptor\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with site_packages(tmp_path / "site", monkeypatch, own_channel_kinds) as folder:
        yield folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the configuration of the how-to; returns its file."""
    (response,) = blocks(PAGE, "json")
    runtime = {"defaultProvider": "rehearsal", "rehearsal": {}}
    file = tmp_path / "config" / "agents.config.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"runtime": runtime, **json.loads(f"{{{response}}}")}))
    return file


def install_the_how_to(site: Path) -> None:
    found = re.search(r'^push = "(\S+)"$', PAGE, re.MULTILINE)
    assert found is not None
    install(site, GROUP, "own_channels", CODE, found[1], "push")


def contacts(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--config", str(file), "contacts", *arguments], standalone_mode=False)


def codes(file: Path) -> dict[str, str]:
    loaded = ConfigLoader(file).parse(file.read_text(), ("PUSH_URL", "PUSH_TOKEN"))
    return {finding.code.value: f"{finding.path}: {finding.message} {finding.hint}" for finding in loaded.findings}


def test_the_channel_of_the_how_to_notifies_a_contact(site: Path, project: Path, receiver: HttpReceiver) -> None:
    install_the_how_to(site)
    (project.parent.parent / ".env").write_text(f"PUSH_URL={receiver.url}\nPUSH_TOKEN=hunter2-hunter2\n")
    result = contacts(project, "test", "ada", "--json")
    assert [(one["channel"], one["outcome"]) for one in json.loads(result.stdout)] == [("telephones", "sent")]
    (request,) = receiver.received
    assert request.headers["authorization"] == "Bearer hunter2-hunter2"
    assert (request.json["topic"], request.json["title"][:6]) == ("pager", "[TEST]")
    receiver.answer = Answer(403)
    (failed,) = json.loads(contacts(project, "test", "ada", "--json").stdout)
    assert (failed["outcome"], failed["detail"]) == ("failed", "the push service answered 403")


def test_its_settings_are_checked_like_those_of_ours(site: Path, project: Path) -> None:
    install_the_how_to(site)
    assert set(codes(project)) == {"W031"}, "one contact is not three levels"
    document = json.loads(project.read_text())
    channel = document["response"]["channels"]["telephones"]
    del channel["urlEnv"]
    channel["options"] = {"priority": "high"}
    project.write_text(json.dumps(document))
    found = codes(project)
    assert "telephones.urlEnv" in found["E043"]
    assert "telephones.options" in found["E006"]


def test_nothing_of_the_users_is_imported_while_no_channel_has_a_type_of_theirs(site: Path, project: Path) -> None:
    install_the_how_to(site)
    assert find_channel_kind("slack") is not None
    assert "own_channels" not in sys.modules
    assert find_channel_kind("own.push") is not None
    assert "own_channels" in sys.modules


def test_without_its_package_the_file_is_used_and_every_other_channel_with_it(site: Path, project: Path) -> None:
    found = codes(project)
    assert found["W036"].startswith("response.channels.telephones.type: ")
    assert "E046" in found, "no other channel reaches the contact"
    document = json.loads(project.read_text())
    document["response"]["contacts"][0]["channels"].append({"channel": "log"})
    project.write_text(json.dumps(document))
    assert set(codes(project)) == {"W031", "W036"}
    assert "type not installed: own.push" in contacts(project, "list", "--json").stdout


@pytest.mark.parametrize(
    ("code", "entry", "reason"),
    [
        ("import there_is_no_such_module", "broken_one", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "broken_one", "SystemExit: 3"),
        ("x = 7", "broken_one:x", "7, which is not a ChannelDescriptor"),
        (f"{HEAD}x = ChannelDescriptor('slack', 's', 'm:C')", "broken_one:x", "'slack' is not of the form own.push"),
        (f"{HEAD}x = ChannelDescriptor('own.a', 's', 'm')", "broken_one:x", "'m' is not of the form module:class"),
        (
            f"{HEAD}x = ChannelDescriptor('own.a', 's', 'm:C', required=('topic',))",
            "broken_one:x",
            "the keys topic do not exist",
        ),
    ],
)
def test_a_broken_package_is_reported_and_keeps_no_other_from_being_used(
    site: Path, project: Path, code: str, entry: str, reason: str
) -> None:
    install(site, GROUP, "broken_one", code, entry, "a-broken-one")
    install_the_how_to(site)
    (problem,) = own_channel_kinds().problems
    assert problem.startswith("the channel 'a-broken-one' (")
    assert ", of broken-one 1.0) cannot be used: " in problem
    assert reason in problem
    assert "W036" not in codes(project)


def test_a_channel_whose_class_is_not_there_fails_its_message_for_good(site: Path, project: Path) -> None:
    install(
        site,
        GROUP,
        "own_channels",
        CODE.replace('"own_channels:PushChannel"', '"own_channels:Gone"'),
        "own_channels:PUSH",
    )
    (project.parent.parent / ".env").write_text("PUSH_URL=http://127.0.0.1:9\nPUSH_TOKEN=hunter2-hunter2\n")
    (failed,) = json.loads(contacts(project, "test", "ada", "--json").stdout)
    expected = 'the channel type "own.push" cannot be loaded from own_channels:Gone (AttributeError)'
    assert (failed["outcome"], failed["detail"]) == ("failed", expected)
