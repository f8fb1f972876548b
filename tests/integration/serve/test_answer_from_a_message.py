"""From the declaration to the resolution without signing in: real serve, a real mail server, a real webhook."""

from __future__ import annotations

import re
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from orchestration.domain.message_verb import MessageVerb
from orchestration.notifications.message_links import LinkClaim, sign
from tests.support.console import ConsoleProject, free_port, stop, wait_for_line
from tests.support.patience import patient, until
from tests.support.receivers import HttpReceiver, Mailbox, http_receiver, mail_server

_LINK = re.compile(r"(Acknowledge|Resolve|Escalate): (\S+)")


@pytest.fixture
def folder(tmp_path: Path) -> ConsoleProject:
    return ConsoleProject(tmp_path / "project")


def configure(project: ConsoleProject, mail_port: int, hook: str, base: str) -> None:
    mail = {"type": "email", "host": "127.0.0.1", "port": mail_port, "tls": "none", "sender": "ops@example.org"}
    project.document["response"] = {
        "dashboardUrl": base,
        "channels": {"mail": mail, "hook": {"type": "webhook", "url": hook}},
        "contacts": [
            {"id": "ada", "level": 1, "channels": [{"channel": "mail", "address": "ada@example.org"}]},
            {"id": "ben", "level": 2, "channels": [{"channel": "hook"}]},
        ],
    }
    project.write()


def links_to_ada(mailbox: Mailbox) -> dict[str, str]:
    return {verb: link for mail in mailbox.mails[:1] for verb, link in _LINK.findall(mail.get_content())}


def links_to_ben(receiver: HttpReceiver) -> dict[str, str]:
    return {link["label"]: link["url"] for body in receiver.bodies()[:1] for link in body["data"]["links"]}


def test_whoever_is_paged_answers_from_the_message(folder: ConsoleProject) -> None:
    port = free_port()
    with ExitStack() as stack:
        mailbox, mail_port = stack.enter_context(mail_server())
        receiver = stack.enter_context(http_receiver())
        configure(folder, mail_port, receiver.url, f"http://127.0.0.1:{port}")
        serve = stack.enter_context(folder.started("serve", "--workers", "0", "--port", str(port)))
        wait_for_line(serve, "dashboard and API: ")
        declared = folder.call(
            *("incidents", "declare", "The shop is down", "--severity", "P1", "--since", "20min", "--json")
        ).json()
        until(lambda: len(links_to_ada(mailbox)) == len(links_to_ben(receiver)) == 3)
        browser = stack.enter_context(httpx2.Client(timeout=patient(30)))

        def incident() -> dict[str, Any]:
            found: dict[str, Any] = folder.call("incidents", "show", declared["id"], "--json").json()
            return found

        ada, ben = links_to_ada(mailbox), links_to_ben(receiver)
        # A mail scanner follows every link, and changes nothing.
        for link in (*ada.values(), *ben.values()):
            assert browser.head(link).status_code == 200
            page = browser.get(link)
            assert (page.status_code, "The shop is down" in page.text) == (200, True)
            assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
        assert incident()["acknowledged_at"] is None

        assert folder.call("isolate", "on", "--reason", "a suspicion", "--incident", declared["id"]).code == 0
        # A browser sends this origin, since the page asks for no referrer.
        answer = browser.post(ada["Acknowledge"], headers={"origin": "null"})
        assert (answer.status_code, "You have the incident" in answer.text) == (200, True)
        for again in (browser.get(ada["Acknowledge"]), browser.post(ben["Acknowledge"])):
            assert (again.status_code, "was acknowledged by user ada" in again.text) == (200, True)

        assert '<option value="2" selected>' in browser.get(ben["Escalate"]).text
        assert "Level 2 (technical lead)" in browser.post(ben["Escalate"], data={"level": "2", "text": "help"}).text
        assert "was used already" in browser.post(ben["Escalate"], data={"level": "2"}).text

        assert "Resolve it all the same" in browser.get(ada["Resolve"]).text, "the isolation has to be lifted first"
        assert browser.post(ada["Resolve"], data={"text": "restarted"}).status_code == 409
        assert "is resolved" in browser.post(ada["Resolve"], data={"text": "restarted", "anyway": "yes"}).text
        assert "It is over: resolved since" in browser.get(ben["Resolve"]).text

        key = (folder.root / "var" / "message-links.key").read_text().strip().encode()
        old = LinkClaim(declared["id"], MessageVerb.RESOLVE, ("ada",), "mail", datetime.now(UTC) - timedelta(seconds=1))
        base = ada["Resolve"].rpartition("/")[0]
        expired = browser.get(f"{base}/{sign(old, key)}")
        assert (expired.status_code, "has expired" in expired.text) == (410, True)
        assert browser.post(ada["Resolve"][:-1]).status_code == 404
        assert browser.get(ada["Resolve"], headers={"host": "evil.example"}).status_code == 421
        assert 429 in [browser.get(f"{base}/x").status_code for _ in range(100)]
        found = incident()
        stop(serve)

    timeline = [(entry["kind"], entry["actor"], entry["data"].get("via")) for entry in found["timeline"]]
    assert ("acknowledged", "ada", "link in a message on mail") in timeline
    assert [one for one in timeline if one[1] == "ben"] == [("escalated", "ben", "link in a message on hook")]
    assert ("resolved", "ada", "link in a message on mail") in timeline
    audited = folder.records("SELECT actor, action, outcome FROM audit WHERE action LIKE '%link in a message'")
    assert ("ada", "acknowledge by a link in a message", "done") in audited
    assert ("ada", "resolve by a link in a message", "refused") in audited
    # What could be used by somebody else is nowhere but in the message itself.
    kept = [path for path in folder.root.rglob("*") if path.is_file() and b"orclink_" in path.read_bytes()]
    assert kept == []


def test_what_is_forgotten_is_brought_to_mind_and_what_is_snoozed_is_quiet(folder: ConsoleProject) -> None:
    with ExitStack() as stack:
        mailbox, mail_port = stack.enter_context(mail_server())
        configure(folder, mail_port, "http://127.0.0.1:9", "https://ops.example.org")
        folder.document["response"]["escalation"] = {"remindAfter": {"P0": 2}, "pageAgainAfter": 2}
        folder.document["response"]["contacts"] = folder.document["response"]["contacts"][:1]
        folder.write()
        serve = stack.enter_context(folder.started("serve", "--workers", "0", "--port", "0"))
        wait_for_line(serve, "dashboard and API: ")

        def subjects(word: str) -> list[str]:
            return [mail["subject"] for mail in mailbox.mails if mail["subject"].startswith(f"[{word}]")]

        folder.call("incidents", "declare", "The shop is down", "--severity", "P0")
        until(lambda: subjects("INCIDENT"))
        # Whoever acknowledges it is a user of this machine and no contact, so the first who was paged is reminded.
        assert folder.call("incidents", "ack", "latest").code == 0
        until(lambda: subjects("REMINDER"))
        until(lambda: len(subjects("INCIDENT")) == 2)
        text = next(mail for mail in mailbox.mails if mail["subject"].startswith("[REMINDER]")).get_content()
        assert "nothing was recorded since" in text
        assert "Acknowledge: https://ops.example.org/answer/" in text
        assert "Post-Incident Review" not in text
        end = datetime.now(UTC) + timedelta(seconds=patient(4))
        snoozed = folder.call("incidents", "snooze", "latest", "--for", end.isoformat(), "--json").json()
        assert snoozed["snoozed_by"]
        before = len(mailbox.mails)
        until(lambda: len(subjects("REMINDER")) > 1)
        assert datetime.now(UTC) >= end
        assert [mail["subject"][:10] for mail in mailbox.mails[before : before + 1]] == ["[REMINDER]"]
        assert "the snooze of" in mailbox.mails[before].get_content()
        stop(serve)
