"""Signing in by an identity provider: a real one on loopback, and the attacks on the way to it and back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from orchestration.security.principal import Role
from tests.support.identity_provider import (
    CLIENT,
    SECRET,
    IdentityProviderServer,
    Lie,
    Person,
    by_shared_secret,
    identity_provider,
)
from tests.support.patience import patient
from tests.support.web import PASSWORD, RunningWebServer

ADMINS = {"groups": ["staff", "pagers"], "preferred_username": "grace"}


@pytest.fixture(scope="module")
def shared() -> Iterator[IdentityProviderServer]:
    with identity_provider() as found:
        yield found


@pytest.fixture(scope="module")
def house(running: RunningWebServer, shared: IdentityProviderServer) -> Iterator[RunningWebServer]:
    """The server of all tests here, to which the provider is added while it runs."""
    oidc = {
        "name": "Example", "issuer": shared.issuer, "clientId": CLIENT, "clientSecretEnv": "OIDC_SECRET",
        "roles": {"pagers": "responder", "owners": "admin"},
    }  # fmt: skip
    env = running.project.root / ".env"
    env.touch(0o600)
    env.write_text(f"OIDC_SECRET={SECRET}\n")
    running.project.document["access"] = {"oidc": oidc}
    refresh(running)
    yield running
    running.project.document["access"] = {}
    env.unlink()
    refresh(running)


def refresh(server: RunningWebServer) -> None:
    """Write the configuration, and have it in force."""
    server.project.write()
    server.portal.call(server.app.store.refresh_in_thread)


@pytest.fixture
def server(house: RunningWebServer) -> Iterator[RunningWebServer]:
    yield house
    house.close_clients()


@pytest.fixture
def provider(shared: IdentityProviderServer) -> IdentityProviderServer:
    shared.lie = Lie()
    return shared


def depart(browser: httpx2.Client, to: str = "/") -> str:
    """Begin to sign in; returns the way back that the provider sends the browser to."""
    away = browser.get("/sign-in/provider", params={"next": to})
    assert away.status_code == 303, away.text
    answer = httpx2.get(away.headers["location"], timeout=patient(30))
    assert answer.status_code == 302
    return str(answer.headers["location"])


def sign_in(server: RunningWebServer, person: Person, provider: IdentityProviderServer, to: str = "/") -> Any:
    provider.person = person
    browser = server.client(None)
    return browser, browser.get(depart(browser, to))


def changed(address: str, **values: str) -> str:
    parts = urlsplit(address)
    query = {name: found[0] for name, found in parse_qs(parts.query).items()} | values
    return parts._replace(query=urlencode(query)).geturl()


def me(browser: httpx2.Client) -> dict[str, Any]:
    answer = browser.get("/api/v1/me")
    return dict(answer.json()) if answer.status_code == 200 else {}


def test_somebody_signs_in_gets_the_mapped_role_and_leaves(
    server: RunningWebServer, provider: IdentityProviderServer
) -> None:
    assert "Sign in with Example" in server.client(None).get("/sign-in").text
    browser, back = sign_in(server, Person("grace-1", ADMINS), provider, "/runs?status=failed")
    assert (back.status_code, back.headers["location"]) == (303, "/runs?status=failed")
    assert (me(browser)["name"], me(browser)["role"]) == ("grace", "responder")
    left = browser.post("/sign-out")
    page = browser.get(left.headers["location"]).text
    assert "Sign out of Example, too" in page
    gone = browser.get("/sign-in/provider/leave").headers["location"]
    assert gone.startswith(f"{provider.issuer}/leave?client_id={CLIENT}&post_logout_redirect_uri=")
    assert not server.client(None).post("/sign-in", data={"name": "grace", "password": ""}).is_redirect
    assert SECRET not in str(server.project.records("SELECT * FROM sign_in_challenges"))


def test_who_has_no_role_is_not_let_in_and_a_changed_one_acts_at_the_next_sign_in(
    server: RunningWebServer, provider: IdentityProviderServer
) -> None:
    browser, back = sign_in(server, Person("nobody", {"groups": ["guests"]}), provider)
    assert (back.status_code, "no role here" in back.text, me(browser)) == (401, True, {})
    assert server.web.access.table.find_user("user") is None
    first, _ = sign_in(server, Person("henry", {"groups": "pagers", "preferred_username": "henry"}), provider)
    assert me(first)["role"] == "responder"
    second, _ = sign_in(server, Person("henry", {"groups": ["owners", "pagers"]}), provider)
    assert me(second)["role"] == "admin"
    assert me(first) == {}, "the session with the former role has ended"
    third, back = sign_in(server, Person("henry", {}), provider)
    assert (back.status_code, me(third)) == (401, {})
    server.web.access.add_user("hilda", Role.ADMIN, PASSWORD, actor="tests")
    server.web.access.change_user("henry", actor="tests", disabled=True)
    assert sign_in(server, Person("henry", {"groups": ["owners"]}), provider)[1].status_code == 401


def test_a_name_or_a_mail_that_is_taken_links_nobody(
    server: RunningWebServer, provider: IdentityProviderServer
) -> None:
    server.web.access.add_user("ida", Role.ADMIN, PASSWORD, actor="tests")
    claims = {"groups": ["pagers"], "preferred_username": "ida", "email": "ida@example.org", "email_verified": True}
    browser, _ = sign_in(server, Person("another ida", claims), provider)
    assert me(browser)["role"] == "responder"
    assert me(browser)["name"].startswith("ida-")
    strange, _ = sign_in(server, Person("x", {"groups": ["pagers"], "preferred_username": "<b>\u202e/../"}), provider)
    assert me(strange)["name"] == "b"


def test_a_user_links_their_own_account(server: RunningWebServer, provider: IdentityProviderServer) -> None:
    server.web.access.add_user("june", Role.OPERATOR, PASSWORD, actor="tests")
    browser = server.client(None)
    browser.post("/sign-in", data={"name": "june", "password": PASSWORD})
    assert browser.post("/account/provider/link").status_code == 422, "without the session's token"
    page = browser.post("/account/provider/link", data={"csrf": me(browser)["csrf"]})
    away = page.text.partition('href="' + provider.issuer)[2].partition('"')[0].replace("&amp;", "&")
    provider.person = Person("june-1", {"groups": ["guests"]})
    back = httpx2.get(provider.issuer + away, timeout=patient(30)).headers["location"]
    assert browser.get(back).headers["location"] == "/account"
    again, _ = sign_in(server, Person("june-1", {"groups": ["guests"]}), provider)
    assert (me(again)["name"], me(again)["role"]) == ("june", "operator")


def test_a_second_factor_is_asked_for_unless_the_provider_did(
    server: RunningWebServer, provider: IdentityProviderServer
) -> None:
    server.project.document["access"]["requireSecondFactor"] = ["admin"]
    refresh(server)
    try:
        one = {"groups": ["owners"], "preferred_username": "kim"}
        browser, back = sign_in(server, Person("kim", one), provider)
        assert back.headers["location"].startswith("/sign-in/enrol")
        assert "<svg" in browser.get(back.headers["location"]).text
        assert me(browser) == {}
        browser, back = sign_in(server, Person("kim", {**one, "amr": ["pwd", "mfa"]}), provider)
        assert (back.headers["location"], me(browser)["role"]) == ("/", "admin")
    finally:
        del server.project.document["access"]["requireSecondFactor"]
        refresh(server)


def test_new_keys_are_fetched_when_a_token_names_one(
    server: RunningWebServer, provider: IdentityProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(server, Person("grace-1", ADMINS), provider)
    provider.rotate()
    monkeypatch.setattr("orchestration.security.oidc.provider._ASK_AGAIN_SECONDS", -1.0)
    browser, _ = sign_in(server, Person("grace-1", ADMINS), provider)
    assert me(browser)["name"] == "grace"
    monkeypatch.setattr("orchestration.security.oidc.provider._ASK_AGAIN_SECONDS", 3600.0)
    provider.lie, fetched = Lie(header=lambda header: header.update(kid="invented")), provider.seen.count("/keys")
    assert sign_in(server, Person("grace-1", ADMINS), provider)[1].status_code == 401
    assert provider.seen.count("/keys") == fetched, "an invented key makes no requests"


def now() -> int:
    return int(time.time())


LIES = {
    "no algorithm": Lie(header=lambda header: header.update(alg="none"), sign=lambda _: b""),
    "no algorithm, in capitals": Lie(header=lambda header: header.update(alg="NONE"), sign=lambda _: b""),
    "no signature": Lie(sign=lambda _: b""),
    "a shared secret": Lie(header=lambda header: header.update(alg="HS256", kid="shared"), sign=by_shared_secret),
    "the public key as a secret": Lie(header=lambda header: header.update(alg="HS256"), sign=by_shared_secret),
    "an algorithm that is not allowed": Lie(header=lambda header: header.update(alg="RS512")),
    "another key": Lie(sign=lambda data: data[:256].ljust(256, b"x")),
    "a key of its own": Lie(header=lambda header: header.update(kid="other", jwk={"kty": "oct", "k": "AAAA"})),
    "another audience": Lie(claims=lambda claims: claims.update(aud="another")),
    "two audiences": Lie(claims=lambda claims: claims.update(aud=[CLIENT, "another"])),
    "another party": Lie(claims=lambda claims: claims.update(azp="another")),
    "no audience": Lie(claims=lambda claims: claims.pop("aud")),
    "another issuer": Lie(claims=lambda claims: claims.update(iss="https://evil.example")),
    "an issuer with a slash": Lie(claims=lambda claims: claims.update(iss=claims["iss"] + "/")),
    "another nonce": Lie(claims=lambda claims: claims.update(nonce="another")),
    "no nonce": Lie(claims=lambda claims: claims.pop("nonce")),
    "expired": Lie(claims=lambda claims: claims.update(exp=now() - 120)),
    "no end": Lie(claims=lambda claims: claims.pop("exp")),
    "an end that is a word": Lie(claims=lambda claims: claims.update(exp="tomorrow")),
    "an end that is true": Lie(claims=lambda claims: claims.update(exp=True)),
    "of tomorrow": Lie(claims=lambda claims: claims.update(iat=now() + 86_400)),
    "of yesterday": Lie(claims=lambda claims: claims.update(iat=now() - 86_400)),
    "not yet": Lie(claims=lambda claims: claims.update(nbf=now() + 86_400)),
    "no subject": Lie(claims=lambda claims: claims.pop("sub")),
    "a subject that is a list": Lie(claims=lambda claims: claims.update(sub=["grace-1"])),
    "an empty subject": Lie(claims=lambda claims: claims.update(sub="")),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_token_with_a_lie_is_refused(server: RunningWebServer, provider: IdentityProviderServer, lie: Lie) -> None:
    provider.lie = lie
    browser, back = sign_in(server, Person("grace-1", ADMINS), provider)
    assert (back.status_code, me(browser)) == (401, {})
    assert "eyJ" not in back.text


def test_an_answer_is_good_for_its_own_browser_and_once(
    server: RunningWebServer, provider: IdentityProviderServer
) -> None:
    provider.person = Person("grace-1", ADMINS)
    victim, thief = server.client(None), server.client(None)
    stolen, own = depart(thief), depart(victim)
    assert victim.get(changed(own, state=parse_qs(urlsplit(stolen).query)["state"][0])).status_code == 401
    assert me(victim) == {}
    own = depart(victim)
    assert thief.get(own).status_code == 401, "another browser's answer"
    assert server.client(None).get(own).status_code == 401, "a browser that began nothing"
    cookies = dict(victim.cookies)
    assert victim.get(own).status_code == 303
    with server.client(None, cookies=cookies) as replay:
        assert replay.get(own).status_code == 401
        assert me(replay) == {}
    mixed = depart(thief)
    assert thief.get(changed(mixed, iss="https://evil.example")).status_code == 401, "mixed up"
    code = depart(thief)
    swapped = parse_qs(urlsplit(depart(victim)).query)["code"][0]
    assert thief.get(changed(code, code=swapped)).status_code == 401, "PKCE: the code of another sign-in"


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nSet-Cookie: x=y"])
def test_the_way_back_leads_nowhere_else(server: RunningWebServer, provider: IdentityProviderServer, to: str) -> None:
    _, back = sign_in(server, Person("grace-1", ADMINS), provider, to)
    assert (back.status_code, back.headers["location"]) == (303, "/")


def test_what_the_provider_refuses_is_told_and_shown_harmless(server: RunningWebServer) -> None:
    browser = server.client(None)
    answer = browser.get("/sign-in/provider/return", params={"error": "<script>access_denied"})
    assert (answer.status_code, "<script>" in answer.text, "access_denied" in answer.text) == (401, False, True)
    assert browser.get("/sign-in/provider/return").status_code == 401


def test_findings_name_what_is_missing(server: RunningWebServer) -> None:
    document = server.project.document
    kept = dict(document["access"]["oidc"])
    document["access"]["oidc"] |= {"issuer": "http://login.example.org", "roles": {}, "clientSecretEnv": "UNSET_SECRET"}
    server.project.write()
    try:
        found = server.project.call("config", "validate", "--json").json()
        assert {"E056", "W052", "W053"} <= {one["code"] for one in found["findings"]}
    finally:
        document["access"]["oidc"] = kept
        refresh(server)
