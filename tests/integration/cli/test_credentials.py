"""`orchestrator credentials probe`, with a value that only a person still has."""

from __future__ import annotations

from pathlib import Path

from orchestration.security.exposed_credentials import FILE, ExposedCredentials, ExposedValue
from tests.support.console import ConsoleProject
from tests.support.credential_vendors import github, vendor_in_a_thread

TOKEN = "ghp_" + "a1B2c3D4" * 5


def test_a_supplied_value_is_recognised_and_probed_and_never_shown(tmp_path: Path) -> None:
    project = ConsoleProject(tmp_path)
    ExposedCredentials(tmp_path / "var" / FILE).add("inc-1", [ExposedValue(TOKEN, "VENDOR_TOKEN", "github-token")])
    with vendor_in_a_thread(github, TOKEN) as vendor:
        project.document["revokers"] = {"main": {"vendor": "github", "baseUrl": vendor.url}}
        project.write()
        accepted = project.call("credentials", "probe", "--json", data=TOKEN.encode())
        assert (accepted.code, accepted.json()["status"]) == (1, "accepted")
        assert (accepted.json()["variable"], accepted.json()["incidents"]) == ("VENDOR_TOKEN", ["inc-1"])
        vendor.valid.clear()
        refused = project.call("credentials", "probe", "VENDOR_TOKEN", data=f"{TOKEN}\n".encode())
        assert refused.code == 0, refused.err
        assert refused.out.startswith("refused: GitHub answered 401 Bad credentials")
        assert "Exposed in: inc-1" in refused.out
        nothing = project.call("credentials", "probe", data=b"")
        assert (nothing.code, "There is no value to probe." in nothing.err) == (2, True)
    assert TOKEN not in accepted.out + accepted.err + refused.out + refused.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
