"""A user's own vendor of credentials, as an installed package: the one of the how-to, and packages that are broken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from orchestration.clock import FakeClock
from orchestration.config.loader import ConfigLoader
from orchestration.config.schema import Configuration
from orchestration.config.vendors.kinds import GROUP, find_vendor, own_vendors
from orchestration.security.vendors.http import VendorError
from orchestration.security.vendors.registry import VendorRegistry
from orchestration.security.vendors.vendor import CredentialStatus
from tests.support.credential_vendors import Received, VendorServer, vendor_server
from tests.support.plugins import blocks, how_to, install, site_packages

PAGE = how_to("own-revoker")
(CODE,) = blocks(PAGE, "python")
(REVOKERS,) = blocks(PAGE, "json")
HEAD = "from datetime import date\nfrom orchestration.config.vendors.descriptor import *\n"
BY_HAND = 'RevocationPage("https://v.local", "there", "https://v.local/docs", date(2026, 11, 29))'


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with site_packages(tmp_path / "site", monkeypatch, own_vendors) as folder:
        yield folder


def vault(server: VendorServer, request: Received) -> Response:
    token = request.headers.get("x-vault-token", "")
    known = token in server.valid
    if request.path.endswith("/agents/revoke-self"):
        server.valid.discard(token)
        return Response(status_code=204 if known else 403)
    return Response(status_code=200 if known else 403)


def settings() -> dict[str, Any]:
    return dict(json.loads(f"{{{REVOKERS}}}"))


def findings(tmp_path: Path, variables: tuple[str, ...] = (), **revoker: Any) -> dict[str, str]:
    revokers = {name: {**one, **revoker} for name, one in settings()["revokers"].items()}
    loaded = ConfigLoader(tmp_path / "agents.config.json").parse(json.dumps({"revokers": revokers}), variables)
    return {finding.code.value: f"{finding.path}: {finding.message}" for finding in loaded.findings}


async def test_the_vendor_of_the_how_to_revokes_and_probes(site: Path, tmp_path: Path) -> None:
    found = re.search(r'^vault = "(\S+)"$', PAGE, re.MULTILINE)
    assert found is not None
    install(site, GROUP, "own_vault", CODE, found[1], "vault")
    assert not {"W040", "W041", "W042", "E006"} & findings(tmp_path).keys()
    async with vendor_server(vault, "vault-token-1") as server:
        revoker = {**settings()["revokers"]["vault"], "baseUrl": f"{server.url}/v1"}
        configuration = Configuration.model_validate({"revokers": {"vault": revoker}})
        registry = VendorRegistry(lambda: configuration, {}, FakeClock())
        match = registry.find("VAULT_TOKEN", "")
        assert match is not None
        assert match.can_revoke
        async with registry.connected(match) as vendor:
            assert (await vendor.probe("vault-token-1")).status is CredentialStatus.ACCEPTED
            assert not (await vendor.revoke("vault-token-1")).was_revoked
            assert (await vendor.revoke("vault-token-1")).was_revoked
            assert (await vendor.probe("vault-token-1")).status is CredentialStatus.REFUSED


def test_what_a_revoker_lacks_is_a_finding(site: Path, tmp_path: Path) -> None:
    assert "revokers.vault.vendor" in findings(tmp_path)["W040"]
    assert "E006" in findings(tmp_path, vendor="aws", options={"adminKeyIdEnv": "A"})
    unset = {"adminKeyEnv": "ADMIN"}
    assert findings(tmp_path, vendor="openai", options=unset)["W042"].startswith("revokers.vault.options.adminKeyEnv")
    assert "W042" not in findings(tmp_path, ("ADMIN",), vendor="openai", options=unset)
    assert "PyPI has no documented call" in findings(tmp_path, vendor="pypi", options={})["W041"]
    assert "E052" in findings(tmp_path, vendor="github", options={}, baseUrl="ftp://somewhere")
    assert "W007" in findings(tmp_path, vendor="github", options={}, baseUrl="http://github.example")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("VAULT = 3", "which is not a VendorDescriptor"),
        (f'VAULT = VendorDescriptor("vault", "v", {BY_HAND})', "is not of the form own.vault"),
        (f'VAULT = VendorDescriptor("own.vault", "v", {BY_HAND}, factory="nowhere")', "not of the form module:class"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_package_that_is_broken_is_left_out_with_a_reason(site: Path, code: str, reason: str) -> None:
    install(site, GROUP, "broken_vault", HEAD + code, "broken_vault:VAULT")
    assert find_vendor("own.vault") is None
    assert reason in own_vendors().problems[0]


@pytest.mark.parametrize("factory", ["nowhere:Nothing", "json:JSONDecoder"])
async def test_a_class_that_cannot_be_used_is_an_error_of_that_vendor_alone(site: Path, factory: str) -> None:
    code = f'{HEAD}VAULT = VendorDescriptor("own.vault", "v", {BY_HAND}, factory="{factory}", revokes=True)'
    install(site, GROUP, "own_vault", code, "own_vault:VAULT")
    configuration = Configuration.model_validate({"revokers": {"v": {"vendor": "own.vault", "variables": ["X"]}}})
    registry = VendorRegistry(lambda: configuration, {}, FakeClock())
    match = registry.find("X", "")
    assert match is not None
    with pytest.raises(VendorError, match=factory.partition(":")[0]):
        async with registry.connected(match):
            pass
