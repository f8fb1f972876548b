"""A user's own type of provider, as an installed package: the one of the how-to, and packages that are broken."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.config.loader import ConfigLoader
from orchestration.config.providers.kinds import GROUP, find_provider_kind, own_provider_kinds
from orchestration.providers.failures import NoRouteError
from tests.support.gateway import Desk, configuration, provider
from tests.support.plugins import blocks, how_to, install, site_packages
from tests.support.vendor import Vendor, vendor

PAGE = how_to("own-provider")
(CODE,) = blocks(PAGE, "python")
(RUNTIME,) = blocks(PAGE, "json")
HEAD = "from orchestration.config.providers.descriptor import ProviderDescriptor\n"
KEYS = {"LAB_KEY": "lab-123"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with site_packages(tmp_path / "site", monkeypatch, own_provider_kinds) as folder:
        yield folder


@pytest.fixture
async def server() -> AsyncIterator[Vendor]:
    async with vendor() as running:
        yield running


OpenGateway = Callable[[dict[str, dict[str, Any]]], Desk]


@pytest.fixture
async def open_gateway() -> AsyncIterator[OpenGateway]:
    """Makes gateways, and closes their connections in the end."""
    made: list[Desk] = []

    def make(providers: dict[str, dict[str, Any]]) -> Desk:
        made.append(Desk(configuration(providers), credentials=KEYS))
        return made[-1]

    yield make
    for one in made:
        await one.gateway._routes.aclose()


def install_the_how_to(site: Path, code: str = CODE) -> None:
    found = re.search(r'^lab = "(\S+)"$', PAGE, re.MULTILINE)
    assert found is not None
    install(site, GROUP, "own_lab", code, found[1], "lab")


def lab(url: str, **more: Any) -> dict[str, Any]:
    """Settings of a provider as in the how-to, at another address."""
    return {**json.loads(f"{{{RUNTIME}}}")["runtime"]["lab"], "baseUrl": url, **more}


def codes(tmp_path: Path, document: dict[str, Any] | None = None) -> dict[str, str]:
    text = json.dumps(document or json.loads(f"{{{RUNTIME}}}"))
    loaded = ConfigLoader(tmp_path / "config" / "agents.config.json").parse(text, KEYS)
    return {finding.code.value: f"{finding.path}: {finding.message} {finding.hint}" for finding in loaded.findings}


@pytest.mark.parametrize("streaming", [True, False])
async def test_the_provider_of_the_how_to_is_called_and_probed(
    site: Path, server: Vendor, open_gateway: OpenGateway, streaming: bool
) -> None:
    install_the_how_to(site)
    desk = open_gateway({"lab": lab(server.url, streaming=streaming)})
    completion = await desk.ask()
    assert (await desk.gateway.probe("lab")).ok
    assert completion.message["content"] == "Yes."
    (chat,), (probe,) = server.chats, server.probes
    assert (chat.path, chat.headers["x-lab-key"]) == ("/projects/pager/chat", "lab-123")
    assert (chat.body["project"], chat.body["model"]) == ("pager", "large")
    assert (probe.path, probe.headers["x-lab-key"]) == ("/health", "lab-123")


def test_the_configuration_of_the_how_to_has_no_finding_about_its_providers(site: Path, tmp_path: Path) -> None:
    install_the_how_to(site)
    assert {code for code, text in codes(tmp_path).items() if "runtime" in text} == set()


def test_its_settings_are_checked_like_those_of_ours(site: Path, tmp_path: Path) -> None:
    install_the_how_to(site)
    document = json.loads(f"{{{RUNTIME}}}")
    del document["runtime"]["lab"]["baseUrl"]
    document["runtime"]["lab"]["options"] = {}
    document["runtime"]["ollama"]["options"] = {"project": "pager"}
    found = codes(tmp_path, document)
    assert "lab.baseUrl" in found["E011"]
    assert "lab.options.project" in found["E006"]
    assert 'a provider of the type "ollama" has no option "project"' in found["W001"]


async def test_without_its_package_the_file_is_used_and_calls_go_to_the_next_provider(
    site: Path, tmp_path: Path, server: Vendor, open_gateway: OpenGateway
) -> None:
    assert 'no installed package has the type "own.lab"' in codes(tmp_path)["E027"]
    document = json.loads(f"{{{RUNTIME}}}")
    document["runtime"] |= {"defaultProvider": "ollama", "fallbackProviders": ["lab"]}
    found = codes(tmp_path, document)
    assert found["W011"].startswith("runtime.providers.lab.type: ") or "lab.type" in found["W011"]
    assert "E027" not in found
    desk = open_gateway({"lab": lab("http://127.0.0.1:9"), "next": provider(server.url)})
    assert str((await desk.ask()).route) == "next/m"
    (opened,) = desk.said("route.opened")
    assert 'no installed package has the provider type "own.lab"' in opened.data["detail"]


async def test_a_class_that_cannot_be_made_fails_its_calls_with_the_reason(
    site: Path, server: Vendor, open_gateway: OpenGateway
) -> None:
    install_the_how_to(site, CODE.replace('"own_lab:LabEndpoint"', '"own_lab:Gone"'))
    desk = open_gateway({"lab": lab(server.url)})
    with pytest.raises(NoRouteError, match="cannot be loaded from own_lab:Gone"):
        await desk.ask()


async def test_a_class_that_is_no_endpoint_fails_its_calls_with_the_reason(
    site: Path, server: Vendor, open_gateway: OpenGateway
) -> None:
    other = "\n\nclass Other:\n    def __init__(self, *_): ...\n"
    install_the_how_to(site, CODE.replace('"own_lab:LabEndpoint"', '"own_lab:Other"') + other)
    desk = open_gateway({"lab": lab(server.url)})
    with pytest.raises(NoRouteError, match="own_lab:Other is no subclass of Endpoint"):
        await desk.ask()


def test_nothing_of_the_users_is_imported_while_no_provider_has_a_type_of_theirs(site: Path) -> None:
    install_the_how_to(site)
    assert find_provider_kind("ollama") is not None
    assert "own_lab" not in sys.modules
    assert find_provider_kind("own.lab") is not None
    assert "own_lab" in sys.modules


@pytest.mark.parametrize(
    ("code", "entry", "reason"),
    [
        ("import there_is_no_such_module", "broken_one", "ModuleNotFoundError"),
        ("x = 7", "broken_one:x", "7, which is not a ProviderDescriptor"),
        (f"{HEAD}x = ProviderDescriptor('ollama', 's', 'm:C')", "broken_one:x", "'ollama' is not of the form own.lab"),
        (f"{HEAD}x = ProviderDescriptor('own.a', 's', 'm')", "broken_one:x", "'m' is not of the form module:class"),
        (
            f"{HEAD}x = ProviderDescriptor('own.a', 's', 'm:C', required=('project',))",
            "broken_one:x",
            "the keys project do not exist",
        ),
    ],
)
def test_a_broken_package_is_reported_and_keeps_no_other_from_being_used(
    site: Path, tmp_path: Path, code: str, entry: str, reason: str
) -> None:
    install(site, GROUP, "broken_one", code, entry, "a-broken-one")
    install_the_how_to(site)
    (problem,) = own_provider_kinds().problems
    assert problem.startswith("the provider 'a-broken-one' (")
    assert reason in problem
    assert "E027" not in codes(tmp_path)
