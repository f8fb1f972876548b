"""Vendors of credentials, called over HTTP on loopback: revoking, probing, and everything that can go wrong."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from orchestration.clock import FakeClock
from orchestration.config.schema import Configuration
from orchestration.config.vendors.kinds import SHIPPED_VENDORS
from orchestration.security.vendors.http import VendorError
from orchestration.security.vendors.registry import VendorRegistry, secret_kind
from orchestration.security.vendors.sigv4 import AwsKeyPair, signed_headers
from orchestration.security.vendors.vendor import CredentialStatus, CredentialVendor, matches_hint
from tests.support import credential_vendors as apis
from tests.support.credential_vendors import ADMIN, Behaviour, VendorServer, vendor_server

ADMIN_KEY = {"adminKeyEnv": "ADMIN"}
AWS_ADMIN = "AKIAADMINADMINADMIN1"
OTHER_KEY = "another-azure-key-000002"


@dataclass(frozen=True)
class Case:
    """A vendor, a credential of it, and the settings that its revoker needs."""

    vendor: str
    value: str
    behaviour: Behaviour
    options: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""

    def __str__(self) -> str:
        return self.vendor

    @property
    def valid(self) -> tuple[str, ...]:
        """What the vendor accepts: an account of Azure has two keys."""
        return (self.value, OTHER_KEY) if self.vendor == "azure" else (self.value,)


AZURE = {
    "subscription": "sub",
    "resourceGroup": "group",
    "account": "lab",
    "tenant": "tenant",
    "clientId": "app-1",
    "clientSecretEnv": "ADMIN",
}
AWS = {"adminKeyIdEnv": "ADMIN_ID", "adminKeySecretEnv": "ADMIN", "userName": "robot"}
REVOCABLE = (
    Case("github", "ghp_" + "a1B2" * 9, apis.github),
    Case("gitlab", "glpat-" + "a1B2" * 6, apis.gitlab),
    Case("slack", "xoxb-" + "1234567890-" * 3, apis.slack),
    Case("openai", "sk-proj-" + "a1B2" * 12, apis.openai, ADMIN_KEY, "/v1"),
    Case("anthropic", "sk-ant-api03-" + "a1B2" * 12, apis.anthropic, ADMIN_KEY),
    Case("azure", "exposed-azure-key-000001", apis.azure, AZURE),
    Case("aws", "AKIAEXPOSEDEXPOSED12", apis.aws, AWS),
    Case("sendgrid", "SG." + "a1B2" * 5 + "." + "c3D4" * 10, apis.sendgrid, ADMIN_KEY),
    Case("google", "ya29." + "a1B2" * 20, apis.google),
)
PROBED = (
    *REVOCABLE,
    Case("npm", "npm_" + "a1B2" * 9, apis.bearer),
    Case("huggingface", "hf_" + "a1B2" * 9, apis.bearer),
    Case("stripe", "sk_" + "live_" + "a1B2" * 9, apis.bearer),
    Case("google-api-key", "AIza" + "a1B2" * 8 + "abc", apis.google_api_key),
)


class Variables(dict[str, str]):
    """The variables of the test."""


@asynccontextmanager
async def connected(case: Case, server: VendorServer, seconds: float = 10.0) -> AsyncIterator[CredentialVendor]:
    options = dict(case.options)
    if case.vendor == "azure":
        options |= {"authority": server.url, "endpoint": server.url}
    if case.vendor == "aws":
        options |= {"stsUrl": server.url}
    settings = {"vendor": case.vendor, "baseUrl": server.url + case.path, "timeout": seconds, "options": options}
    configuration = Configuration.model_validate({"revokers": {"one": settings}})
    names = {"ADMIN": ADMIN, "ADMIN_ID": AWS_ADMIN, "AWS_ACCESS_KEY_ID": "AKIAEXPOSEDEXPOSED12"}
    credentials = Variables(names, AWS_SECRET_ACCESS_KEY="the-other-half-of-it")
    registry = VendorRegistry(lambda: configuration, credentials, FakeClock(datetime(2026, 11, 29, tzinfo=UTC)))
    kind = SHIPPED_VENDORS[case.vendor].kinds[0] if SHIPPED_VENDORS[case.vendor].kinds else ""
    match = registry.find("", kind) or registry.find("X", kind)
    if match is None:  # Azure's keys have no form of their own: they are found by their variable
        configuration = Configuration.model_validate({"revokers": {"one": {**settings, "variables": ["X"]}}})
        match = registry.find("X", kind)
    assert match is not None
    async with registry.connected(match) as vendor:
        yield vendor


@pytest.mark.parametrize("case", REVOCABLE, ids=str)
async def test_a_value_is_accepted_until_it_is_revoked_and_revoking_it_twice_is_a_success(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with vendor_server(case.behaviour, *case.valid) as server, connected(case, server) as vendor:
        before = await vendor.probe(case.value)
        first = await vendor.revoke(case.value)
        after = await vendor.probe(case.value)
        second = await vendor.revoke(case.value)
    assert (before.status, after.status) == (CredentialStatus.ACCEPTED, CredentialStatus.REFUSED)
    assert not first.was_revoked
    # GitHub gives the same answer to a token that it has revoked before.
    assert second.was_revoked or case.vendor == "github"
    shown = f"{before}{first}{after}{second}{caplog.text}"
    assert ADMIN not in shown
    # The id of an AWS key is no secret; people need it to find the key.
    assert case.value not in shown or case.vendor == "aws"


async def test_azure_hands_over_the_new_value_and_leaves_the_other_key_alone() -> None:
    case = next(one for one in REVOCABLE if one.vendor == "azure")
    async with vendor_server(case.behaviour, *case.valid) as server:
        async with connected(case, server) as vendor:
            revoked = await vendor.revoke(case.value)
        assert server.valid == {revoked.replacement, OTHER_KEY}
        assert str(revoked.replacement) not in repr(revoked)


@pytest.mark.parametrize("case", PROBED, ids=str)
async def test_only_the_vendors_own_refusal_counts(case: Case) -> None:
    elsewhere: list[str] = []
    async with vendor_server(case.behaviour, case.value) as server, vendor_server(apis.bearer) as other:
        upsets = {
            "limited": lambda _: JSONResponse({}, 429, {"retry-after": "7"}),
            "overloaded": lambda _: HTMLResponse("<h1>Bad gateway</h1>", 502),
            "moved": lambda _: RedirectResponse(other.url + "/elsewhere", 307),
            "too large": lambda _: Response(b"x" * 1_200_000),
            "not found": lambda _: HTMLResponse("nothing here", 404),
            "portal": lambda _: HTMLResponse("<form>Please sign in</form>", 403),
        }
        async with connected(case, server) as vendor:
            for name, upset in upsets.items():
                server.upset = upset
                probe = await vendor.probe(case.value)
                assert probe.status is CredentialStatus.UNKNOWN or (name, case.vendor) == ("portal", "stripe"), name
                assert case.value not in probe.evidence
                assert probe.retry_after == (7.0 if name == "limited" else None)
        elsewhere += [one.path for one in other.received]
    assert elsewhere == []  # a redirect would have carried the credential there


@pytest.mark.parametrize("case", REVOCABLE, ids=str)
async def test_a_revocation_that_was_not_confirmed_is_an_error_without_the_value(case: Case) -> None:
    async with vendor_server(case.behaviour, case.value) as server:
        upsets = (
            (JSONResponse({"message": "no", "error": "no"}, 400), True),
            (JSONResponse({}, 429, {"retry-after": "7"}), False),
            (JSONResponse({"error": {"code": "busy"}}, 503), False),
        )
        async with connected(case, server) as vendor:
            for answer, permanent in upsets:
                server.upset = lambda _, answer=answer: answer
                with pytest.raises(VendorError) as raised:
                    await vendor.revoke(case.value)
                assert raised.value.permanent is permanent
                assert case.value not in str(raised.value) or case.vendor == "aws"
        assert case.value in server.valid


async def test_a_vendor_that_hangs_or_is_gone_is_neither_refusal_nor_acceptance() -> None:
    case = REVOCABLE[0]
    async with vendor_server(case.behaviour, case.value) as server:
        server.delay = 5.0
        async with connected(case, server, 0.2) as vendor:
            assert (await vendor.probe(case.value)).status is CredentialStatus.UNKNOWN
            with pytest.raises(VendorError, match="was not reached") as raised:
                await vendor.revoke(case.value)
            assert not raised.value.permanent
    async with connected(case, server) as vendor:
        assert (await vendor.probe(case.value)).status is CredentialStatus.UNKNOWN


async def test_a_proxy_that_asks_for_a_password_of_its_own_does_not_count_as_github() -> None:
    case = REVOCABLE[0]
    async with vendor_server(case.behaviour, case.value) as server, connected(case, server) as vendor:
        server.upset = lambda _: JSONResponse({"message": "Proxy authentication required"}, 401)
        assert (await vendor.probe(case.value)).status is CredentialStatus.UNKNOWN


async def test_a_key_that_could_be_another_vendors_is_not_sent_to_openai() -> None:
    configuration = Configuration()
    registry = VendorRegistry(lambda: configuration, Variables(), FakeClock())
    match = registry.find("", "openai-key")
    assert match is not None
    assert not match.can_revoke
    async with registry.connected(match) as vendor:
        probe = await vendor.probe("sk-" + "0123456789abcdef" * 2)
    assert (probe.status, "not sent" in probe.evidence) == (CredentialStatus.UNKNOWN, True)


async def test_two_keys_that_look_alike_are_left_to_a_person() -> None:
    case = next(one for one in REVOCABLE if one.vendor == "openai")
    twin = case.value[:20] + "XXXX" + case.value[24:]
    async with vendor_server(case.behaviour, case.value, twin) as server, connected(case, server) as vendor:
        server.upset = lambda request: _twins(request.path, case.value)
        with pytest.raises(VendorError, match=r"several keys that look like it \(key_1, key_2\)"):
            await vendor.revoke(case.value)
        assert server.valid == {case.value, twin}


def _twins(path: str, value: str) -> Response:
    if path.endswith("/projects"):
        return JSONResponse({"data": [{"id": "p"}], "has_more": False})
    hint = f"{value[:9]}...{value[-4:]}"
    return JSONResponse({"data": [{"id": "key_1", "redacted_value": hint}, {"id": "key_2", "redacted_value": hint}]})


def test_the_signature_is_the_one_of_the_documented_example() -> None:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, before the forms of
    # 2023 showed the same request for IAM's ListUsers.
    pair = AwsKeyPair("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    now = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    headers = signed_headers("GET", url, b"", pair, "us-east-1", "iam", now)
    assert headers["authorization"].endswith(
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("sk-proj-abc...wxyz", True),
        ("sk-proj-abc***wxyz", True),
        ("sk-...wxyz", True),
        ("***wxyz", True),
        ("sk-proj-abc...wxy0", False),
        ("sk-proj-xbc...wxyz", False),
        ("sk-proj-abc...", False),
        ("", False),
        ("sk-proj-abcdefghijklwxyz", False),
    ],
)
def test_a_key_is_recognised_by_what_a_list_shows_of_it(hint: str, expected: bool) -> None:
    assert matches_hint("sk-proj-abcdefghijklwxyz", hint) is expected


@pytest.mark.parametrize("case", PROBED, ids=str)
def test_the_form_of_a_value_tells_its_vendor(case: Case) -> None:
    registry = VendorRegistry(Configuration, Variables(), FakeClock())
    match = registry.find("", secret_kind(case.value))
    # A key of Azure is any 32 characters.
    assert (match.descriptor.name if match else "") == ("" if case.vendor == "azure" else case.vendor)
