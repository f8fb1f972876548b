"""Emergency access ends by itself, and nobody gets it in secret."""

from __future__ import annotations

from pathlib import Path

from tests.support.console import ConsoleProject


def test_emergency_access_has_a_reason_an_end_and_an_incident(tmp_path: Path) -> None:
    project = ConsoleProject(tmp_path / "p")
    for reason, until in (("x", "1h"), ("nobody can sign in any more", "9h"), ("nobody can sign in any more", "0h")):
        assert project.call("tokens", "break-glass", "--reason", reason, "--for", until).code == 2
    assert project.call("tokens", "list", "--json").json() == []
    done = project.call("tokens", "break-glass", "--reason", "nobody can sign in any more", "--json").json()
    [token] = project.call("tokens", "list", "--json").json()
    assert (token["id"], token["role"], token["expires_at"]) == (done["token"], "admin", done["expires_at"])
    shown = project.call("incidents", "show", done["incident"], "--json").json()
    assert (shown["severity"], shown["scenario"], "nobody can sign in" in str(shown)) == ("P1", "security-alert", True)
    [line, *_] = project.call("audit", "list", "--json").json()
    assert (line["action"], line["details"]["reason"]) == ("broke the glass", "nobody can sign in any more")
    assert done["secret"] not in (project.root / "logs" / "orchestrator.log").read_text() + str(shown) + str(line)
