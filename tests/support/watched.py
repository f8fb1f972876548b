"""A project under `orchestrator serve`, with short intervals, whose people have a real mailbox and a real webhook."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from tests.support.project import Command, ProjectFolder, _environment, wait_until
from tests.support.receivers import HttpReceiver, Mailbox, http_receiver, mail_server

# Everybody has mail; the first on call has a webhook too, where a page arrives as JSON.
PEOPLE = {"ada": 1, "ben": 2, "cleo": 3, "sam": 4}
_HOOKED = "ada"
_QUICK_RULES: dict[str, dict[str, Any]] = {
    "agent-failed": {"hold": 1},
    "run-failed": {"hold": 1},
    "memory-high": {"window": 3, "hold": 1, "keepFiring": 1},
    "cpu-high": {"enabled": False},  # other tests may keep the machine busy
    "unresponsive": {"enabled": False},
    **{rule: {"enabled": False} for rule in ("loop-late", "loop-silent", "schedule-late", "provider-slow")},
    "disk-low": {"keepFiring": 1},
}

# A provider that is down is asked again at once when it is back.
PROBED_SOON = {"probeAfter": 0.5, "probeAtMost": 0.5}

Page = tuple[str, str, str]


class Watched(ProjectFolder):
    """The project, and what its people were told."""

    def __init__(
        self,
        root: Path,
        providers: Mapping[str, Any],
        mailbox: Mailbox,
        mail_port: int,
        hook: HttpReceiver,
        changes: Mapping[str, Any],
    ) -> None:
        self.mailbox = mailbox
        self.hook = hook
        super().__init__(root, providers, workers=1)
        settings = self.settings
        settings["monitoring"] |= {"probeSeconds": 1, "resourceSeconds": 0.5, "scanSeconds": 0.5}
        settings["monitoring"]["thresholds"] |= {"stalledSeconds": 120}
        settings["alerting"] = {"rules": _QUICK_RULES}
        settings["automation"] = {"enabled": False}
        settings["response"] = _response(mail_port, hook.url)
        self.configure(_merged(settings, changes))

    def serve(self, workers: int = 1) -> Command:
        """Start the control process, and return when it leads."""
        command = self.start("serve", "--workers", str(workers))
        command.wait_for("serving ")
        wait_until(lambda: self.rows("SELECT 1 FROM leases WHERE name = 'leader'"), "for the control process to lead")
        return command

    @property
    def environment(self) -> dict[str, str]:
        """That of the commands."""
        return _environment()

    def rows(self, query: str, *values: Any) -> list[Any]:
        """What the database holds, read directly: quick enough to ask again and again."""
        path = self.root / "var" / "orchestrator.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
            try:
                return connection.execute(query, values).fetchall()
            except sqlite3.OperationalError:
                return []

    def incidents(self) -> list[tuple[str, str, str]]:
        """Scenario, severity and status of every incident, oldest first."""
        return self.rows("SELECT scenario, severity, status FROM incidents ORDER BY detected_at, id")

    def wait_for_incident(self, status: str = "%", seconds: float = 30.0) -> tuple[str, str, str]:
        """The one incident there is, once its status is like that."""
        query = "SELECT scenario, severity, status FROM incidents WHERE status LIKE ?"
        wait_until(lambda: self.rows(query, status), f"for an incident that is {status}; {self.incidents()}", seconds)
        found = self.incidents()
        titles = self.rows("SELECT title FROM incidents ORDER BY detected_at, id")
        assert len(found) == 1, f"one incident was expected, got {titles}"
        return found[0]

    def pages(self, kind: str = "") -> list[Page]:
        """Who was told what and on which channel: (heading, person, channel), sorted."""
        mails = [(heading(mail), str(mail["To"]).partition("@")[0], "mail") for mail in list(self.mailbox.mails)]
        hooks = [(heading(body["data"]), body["data"]["contact"], "hook") for body in self.hook.bodies()]
        return sorted(page for page in [*mails, *hooks] if kind in ("", page[0]))

    def check_told(self, *told: tuple[str, str], heading: str = "INCIDENT") -> None:
        """These were told, (person, channel) each once, and nobody else."""
        expected = sorted((heading, *one) for one in told)
        wait_until(lambda: len(self.pages(heading)) >= len(expected), f"for {expected}, got {self.pages()}")
        assert self.pages(heading) == expected

    def check_over(self) -> None:
        """Everybody who was paged heard of the end, once; and nobody was paged twice."""
        paged = sorted(
            (person, channel) for kind, person, channel in self.pages() if kind in ("INCIDENT", "ESCALATION")
        )
        assert len(set(paged)) == len(paged), paged
        self.check_told(*paged, heading="RESOLVED")
        assert len(self.incidents()) == 1, self.incidents()

    def mails(self, kind: str) -> list[EmailMessage]:
        return [mail for mail in list(self.mailbox.mails) if heading(mail) == kind]


def heading(message: Mapping[str, Any] | EmailMessage) -> str:
    """What stands in the first brackets of a subject."""
    found = re.match(r"\[(.*?)\]", str(message["subject"]).strip())
    assert found is not None, message["subject"]
    return found[1]


def _response(mail_port: int, hook_url: str) -> dict[str, Any]:
    def channels(name: str) -> list[dict[str, str]]:
        mail = {"channel": "mail", "address": f"{name}@example.org"}
        return [mail, {"channel": "hook"}] if name == _HOOKED else [mail]

    return {
        "channels": {
            "mail": {
                "type": "email",
                "host": "127.0.0.1",
                "port": mail_port,
                "tls": "none",
                "sender": "us@example.org",
            },
            "hook": {"type": "webhook", "url": hook_url},
        },
        "contacts": [{"id": name, "level": level, "channels": channels(name)} for name, level in PEOPLE.items()],
        "stabilitySeconds": 1.5,
    }


def _merged(settings: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with these changes, section by section."""
    result = dict(settings)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return result


@contextmanager
def a_watched_project(root: Path, providers: Mapping[str, Any], **changes: Any) -> Iterator[Watched]:
    """The project with its receivers; `changes` are sections of its configuration. All of it ends with the block."""
    with http_receiver() as hook, mail_server() as (mailbox, port):
        project = Watched(root, providers, mailbox, port, hook, changes)
        try:
            yield project
        finally:
            project.close()
