"""Actions on security alerts: what was seen, closing off, quarantine, rotation, updating; on real files and runs."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from starlette.responses import JSONResponse

from orchestration.config.isolation import IsolatedError
from orchestration.domain.duty import DutyKind
from orchestration.domain.run_status import RunStatus
from orchestration.domain.scenario import Scenario
from orchestration.errors import ConflictError, OrchestratorError
from orchestration.incidents.commands.mitigation import BeginMitigation
from orchestration.playbooks.actions import ActionError
from orchestration.playbooks.model import Mode
from orchestration.storage.runs import Run
from tests.integration.agents.rooms import DONE, ScriptedModel, calls
from tests.support.credential_vendors import ADMIN, Behaviour, VendorServer, azure, github, openai, vendor_server
from tests.support.patience import patient
from tests.support.project import provider_at
from tests.support.response import EXECUTOR, NOWHERE, Ward, a_ward

GITHUB = "ghp_" + "a1B2" * 9
OLD, NEW = "sk-proj-0ld0ld0ld0ld0ld0ld0ld01234", "sk-proj-n3wn3wn3wn3wn3wn3wn3w56789"
KEYED = {"own": NOWHERE["own"], "paid": provider_at("http://127.0.0.1:9", apiKeyEnv="PAID_KEY")}


def a_run(ward: Ward, **values: Any) -> Run:
    """The record of a run that has ended; it left artifacts."""
    run = Run("run-1", "mend it", str(ward.root / "work"), ward.app.clock.now(), RunStatus.SUCCEEDED, **values)
    ward.app.runs.add(run)
    return run


def leak(ward: Ward, text: str = OLD, name: str = "notes.md") -> Path:
    """An artifact of the run that holds a secret; its writer knew of none."""
    ward.app.artifacts.write("run-1", name, f"the key is {text}\n", "executor")
    return ward.app.artifacts.path("run-1", name)


@contextmanager
def an_environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


async def test_the_scope_names_places_and_credentials_and_never_a_value(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"PAID_KEY={OLD}\n")
    async with a_ward(tmp_path, KEYED) as ward:
        a_run(ward)
        path = leak(ward)
        (ward.root / "work" / "draft.txt").write_text(f"{OLD}\n{OLD}\n")
        (path.parent / "deeper").mkdir()
        (path.parent / "deeper" / "part.md").write_text("nothing here")
        ward.declare(Scenario.SECURITY_ALERT, runs=["run-1"])
        ward.app.bus.emit("artifact.read", run_id="run-1", actor="ada")
        ward.app.bus.emit("secret.redacted", run_id="run-1", found="credential", place="log")
        await ward.until(lambda: ward.app.timeline.find_last("secret.redacted"))
        found = (await ward.run("security.scope")).findings
        assert found["secrets"] == 3
        assert found["artifacts"] == ["run-1/notes.md"]
        assert [place.partition(" ")[0] for place in found["places"]] == ["artifacts/run-1/notes.md", "work/draft.txt"]
        assert (found["variables"], found["readers"]) == (["PAID_KEY"], ["ada"])
        assert found["first"] <= found["last"]
        assert OLD not in json.dumps(found)
        path.unlink()
        (ward.root / "work" / "draft.txt").unlink()
        assert (await ward.run("security.scope")).findings["new"] == 1


async def test_what_came_before_something_was_done_is_not_new(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        ward.declare(Scenario.SECURITY_ALERT)
        ward.app.bus.emit("sign_in.failed", source="10.0.0.9", user="root", reason="password")
        await ward.until(lambda: ward.app.timeline.find_last("sign_in.failed"))
        assert (await ward.run("security.scope")).findings["new"] == 1
        ward.app.incident_service.execute(ward.incident.id, _machine(), BeginMitigation("watch closely"))
        assert (await ward.run("security.scope")).findings["new"] == 0
        ward.app.bus.emit("sign_in.failed", source="10.0.0.9", user="root", reason="password")
        await ward.until(lambda: len(ward.app.timeline.list_recent(["sign_in.failed"], ward.incident.detected_at)) == 2)
        assert (await ward.run("security.scope")).findings["new"] == 1


def _machine() -> Any:
    from tests.support.incidents import MACHINE

    return MACHINE


async def test_failed_sign_ins_are_counted_by_source_and_refused_calls_by_agent(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        for source in ("10.0.0.9", "10.0.0.9", "10.0.0.7"):
            ward.app.bus.emit("sign_in.failed", source=source, user="root", reason="password")
        for run in ("run-1", "run-2"):
            ward.app.bus.emit("tool_call.refused", run_id=run, agent="executor", about="path", what="/etc/passwd")
        ward.declare(Scenario.SECURITY_ALERT, runs=["run-1"])
        since = ward.incident.detected_at - timedelta(hours=1)
        await ward.until(lambda: len(ward.app.timeline.list_recent(["tool_call.refused"], since)) == 2)
        found = (await ward.run("security.access")).findings
        assert (found["failed_sign_ins"], found["sources"]) == (3, ["10.0.0.9 (2)", "10.0.0.7 (1)"])
        assert (found["refused_calls"], found["refused"]) == (1, ["executor: path /etc/passwd (1)"])


async def test_isolation_closes_everything_off_until_a_person_lifts_it(tmp_path: Path) -> None:
    told: list[str] = []
    asked, closed = threading.Event(), threading.Event()

    def script(body: dict[str, Any]) -> Any:
        told.extend(message["content"] for message in body["messages"] if message["role"] == "tool")
        asked.set()
        assert closed.wait(patient(60)), "the system was not isolated"
        return DONE if told else calls(("write_file", {"path": "a.txt", "content": "hello"}))

    with ScriptedModel(script) as model:
        provider = {"type": "openai", "baseUrl": model.url, "defaultModel": "m", "streaming": False}
        async with a_ward(tmp_path, {"own": provider}, [EXECUTOR]) as ward:
            run = await ward.app.launcher.prepare("mend it", ward.root / "work", agent="executor")
            assert await ward.preview("security.isolate") == (
                "isolate the system: no run starts or is resumed, agents have no tools, clients get no model calls, "
                "until a person lifts it"
            )
            assert not ward.app.effective().runtime.isolated
            # A run that is at work goes on, without its tools; one that is queued waits.
            await ward.app.control.start(run)
            await anyio.to_thread.run_sync(asked.wait)
            isolated = await ward.run("security.isolate")
            assert ward.app.effective().runtime.isolated
            closed.set()
            assert (await ward.run("security.isolate")).findings == isolated.findings
            with pytest.raises(
                IsolatedError, match=r"Cannot start a run. The system is isolated since .* Lift it with"
            ):
                await ward.app.launcher.start("mend it", ward.root / "work", agent="executor")
            with pytest.raises(IsolatedError, match="Cannot fork a run"):
                await ward.app.launcher.fork("run-0")
            await ward.app.engine.result(run.id)
            # The report that it did the work is sent back once, so the refusal is in two requests.
            assert set(told) == {f"refused: {_isolated()}"}
            assert (ward.root / "work" / "a.txt").exists() is False
            assert ward.of("tool_call.refused") == []
            number = isolated.findings["override"]
            assert isolated.undo is None
            with pytest.raises(ConflictError, match="Only a person may remove an override of kind isolate"):
                ward.app.store.remove_override(number, "playbook:test")
            with pytest.raises(ConflictError, match="takes a reason"):
                ward.app.store.remove_override(number, "ada")
            ward.app.store.remove_override(number, "ada", "the key is rotated")
            assert not ward.app.effective().runtime.isolated


def _isolated() -> str:
    from orchestration.agents.tool_calls import ISOLATED

    return ISOLATED


async def test_a_second_incident_finds_the_system_isolated(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        first = await ward.run("security.isolate")
        assert await ward.preview("security.isolate") == "do nothing: the system is isolated already"
        again = await ward.run("security.isolate", key="k-2")
        assert again.findings == first.findings
        assert ward.overrides == [("isolate", "*")]


async def test_quarantine_moves_files_where_only_their_owner_reads_and_back_as_they_were(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        a_run(ward)
        path = leak(ward)
        text, mode = path.read_text(), path.stat().st_mode
        wanted = ["run-1/notes.md", "run-1/gone.md"]
        folder = ward.app.state_folder / "quarantine" / ward.incident.id
        assert await ward.preview("security.quarantine", artifacts=wanted) == f"move run-1/notes.md to {folder}"
        assert not folder.exists()
        moved = await ward.run("security.quarantine", artifacts=wanted)
        target = folder / "run-1" / "notes.md"
        assert (moved.findings["moved"], path.exists(), target.read_text()) == (["run-1/notes.md"], False, text)
        modes = [stat.S_IMODE(one.stat().st_mode) for one in (folder, target.parent, target, folder / "manifest.json")]
        assert modes == [0o700, 0o700, 0o600, 0o600]
        about = json.loads((folder / "manifest.json").read_text())["run-1/notes.md"]
        assert about["sha256"] == hashlib.sha256(text.encode()).hexdigest()
        assert (await ward.run("security.quarantine", artifacts=wanted)).undo == moved.undo
        assert await ward.undo("security.quarantine", moved) == "moved run-1/notes.md back"
        assert (path.read_text(), path.stat().st_mode, target.exists()) == (text, mode, False)
        assert ward.app.artifacts.verify("run-1") == ()


async def test_quarantine_takes_nothing_that_is_no_artifact_and_brings_nothing_else_back(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        a_run(ward)
        outside = tmp_path / "precious.txt"
        outside.write_text("mine")
        path = leak(ward)
        (path.parent / "link.md").symlink_to(outside)
        for name in ("run-1/../precious.txt", "../precious.txt", "run-2/notes.md", "run-1/link.md", "notes.md"):
            with pytest.raises(ActionError, match="nothing was moved"):
                await ward.run("security.quarantine", artifacts=[name])
        assert (outside.read_text(), path.exists()) == ("mine", True)
        moved = await ward.run("security.quarantine", artifacts=["run-1/notes.md"])
        target = Path(moved.findings["folder"]) / "run-1" / "notes.md"
        target.write_text("something else")
        with pytest.raises(ActionError, match="it stays in quarantine"):
            await ward.undo("security.quarantine", moved)
        assert not path.exists()


async def test_an_exposed_value_is_refused_and_a_new_one_is_used_at_once(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"PAID_KEY={OLD}\nOTHER_TOKEN=0ther-0ther-0ther\n")
    async with a_ward(tmp_path, KEYED) as ward:
        a_run(ward)
        leak(ward, f"{OLD} and 0ther-0ther-0ther")
        ward.declare(Scenario.SECURITY_ALERT, runs=["run-1"])
        await ward.run("security.quarantine", artifacts=["run-1/notes.md"])
        await ward.run("security.scope")
        page = "revoke it yourself at https://platform.openai.com/api-keys"
        assert page in await ward.preview("security.rotate", variables=["PAID_KEY"])
        rotated = await ward.run("security.rotate", variables=["PAID_KEY"])
        assert (rotated.findings["retired"], rotated.findings["waiting"]) == (1, ["PAID_KEY"])
        assert (rotated.findings["revoked"], rotated.findings["probed"]) == ([], {"PAID_KEY": "unknown"})
        store = ward.app.store
        assert (store.credentials.get("PAID_KEY"), store.credentials.get("OTHER_TOKEN")) == (None, "0ther-0ther-0ther")
        assert any("PAID_KEY was exposed and is refused" in str(finding) for finding in store.findings)
        ward.write_env(PAID_KEY=NEW, OTHER_TOKEN="0ther-0ther-0ther")
        assert store.credentials.get("PAID_KEY") == NEW
        assert OLD not in ward.app.redactor.text(f"it was {OLD}")
        ward.write_env(PAID_KEY=OLD, OTHER_TOKEN="0ther-0ther-0ther")
        assert store.credentials.get("PAID_KEY") is None
        kept = (ward.app.state_folder / "retired-credentials.json").read_text()
        assert (OLD in kept, "inc-" in kept or ward.incident.id in kept) == (False, True)
        again = await ward.run("security.rotate", variables=["PAID_KEY"])
        assert again.undo == rotated.undo
        await ward.undo("security.rotate", rotated)
        assert store.credentials.get("PAID_KEY") == OLD


async def test_a_value_that_the_process_was_started_with_gives_way_to_a_new_one_in_the_file(tmp_path: Path) -> None:
    with an_environment(PAID_KEY=OLD):
        async with a_ward(tmp_path, KEYED) as ward:
            a_run(ward)
            leak(ward)
            ward.declare(Scenario.SECURITY_ALERT, runs=["run-1"])
            ward.write_env(PAID_KEY=NEW, OTHER_TOKEN="0ther-0ther-0ther")
            assert ward.app.store.credentials.get("PAID_KEY") == OLD
            rotated = await ward.run("security.rotate", variables=["PAID_KEY"])
            assert (rotated.findings["waiting"], ward.app.store.credentials.get("PAID_KEY")) == ([], NEW)


@asynccontextmanager
async def a_leaked_key(
    tmp_path: Path, behaviour: Behaviour, value: str, *others: str, **revoker: Any
) -> AsyncIterator[tuple[Ward, VendorServer]]:
    """An incident about the value of VENDOR_KEY in an artifact, and the vendor of it, whose revoker is configured."""
    (tmp_path / ".env").write_text(f"# mine\nVENDOR_KEY={value}\nADMIN={ADMIN}\nOTHER=kept\n")
    automation = {"actions": {"security.rotate": "auto"}}
    async with vendor_server(behaviour, value, *others) as server:
        settings = {"variables": ["VENDOR_KEY"], "baseUrl": server.url, **revoker}
        settings["options"] = {key: text.format(url=server.url) for key, text in revoker.get("options", {}).items()}
        async with a_ward(tmp_path, automation=automation, revokers={"main": settings}) as ward:
            a_run(ward)
            leak(ward, value)
            ward.declare(Scenario.SECURITY_ALERT, runs=["run-1"])
            scope = (await ward.run("security.scope")).findings
            assert (scope["variables"], scope["others"]) == (["VENDOR_KEY"], [])
            await ward.run("security.quarantine", artifacts=scope["artifacts"])
            yield ward, server


async def test_a_leaked_token_is_revoked_at_its_vendor_on_a_persons_word_and_probed(tmp_path: Path) -> None:
    async with a_leaked_key(tmp_path, github, GITHUB, vendor="github") as (ward, server):
        decision = await ward.decide("security.rotate", {"variables": ["VENDOR_KEY"]})
        assert (decision.mode, "VENDOR_KEY: revoke it at GitHub (revoker main)" in decision.preview) == (Mode.ASK, True)
        assert server.received == []
        server.upset = lambda _: JSONResponse({"message": "Server Error"}, 500)
        failed = await ward.run("security.rotate", variables=["VENDOR_KEY"])
        assert failed.findings["revoked"] == []
        assert failed.findings["probed"] == {"VENDOR_KEY": "unknown"}
        assert "not revoked: VENDOR_KEY: 127.0.0.1:" in failed.summary
        server.upset = None
        # The same key: the person's one word covers the repetition after a crash.
        done = await ward.run("security.rotate", variables=["VENDOR_KEY"])
        assert (done.findings["revoked"], server.valid) == (["VENDOR_KEY"], set())
        assert done.findings["probed"] == {"VENDOR_KEY": "refused"}
        assert ward.app.store.credentials.get("VENDOR_KEY") is None
        assert GITHUB not in json.dumps([done.summary, done.evidence, failed.evidence])
        assert GITHUB not in (ward.app.state_folder / "exposed-credentials.json").read_text()


async def test_azure_s_new_key_is_in_env_at_once_and_the_rest_of_the_file_as_it_was(tmp_path: Path) -> None:
    options = {
        "subscription": "sub",
        "resourceGroup": "group",
        "account": "lab",
        "tenant": "tenant",
        "clientId": "app-1",
        "clientSecretEnv": "ADMIN",
        "authority": "{url}",
    }
    exposed = "exposed-azure-key-000001"
    leaked = a_leaked_key(tmp_path, azure, exposed, "another-azure-key-000002", vendor="azure", options=options)
    async with leaked as (ward, server):
        done = await ward.run("security.rotate", variables=["VENDOR_KEY"])
        fresh = ward.app.store.credentials.get("VENDOR_KEY")
        assert (fresh in server.valid, fresh != exposed) == (True, True)
        assert (done.findings["waiting"], done.findings["replaced"]) == ([], ["VENDOR_KEY"])
        assert done.findings["probed"] == {"VENDOR_KEY": "refused"}
        text = (ward.root / ".env").read_text()
        assert text == f"# mine\nVENDOR_KEY={fresh}\nADMIN={ADMIN}\nOTHER=kept\n"
        assert str(fresh) not in ward.app.redactor.text(f"it is {fresh}")
        # Carried out once more after a crash: nothing is regenerated again.
        again = await ward.run("security.rotate", variables=["VENDOR_KEY"])
        assert (again.findings["waiting"], ward.app.store.credentials.get("VENDOR_KEY")) == ([], fresh)


async def test_a_secret_of_no_variable_is_rotated_by_its_form_and_one_without_an_api_names_the_page(
    tmp_path: Path,
) -> None:
    pypi = "pypi-AgEI" + "a1B2" * 15
    async with vendor_server(github, GITHUB) as server:
        revokers = {"any": {"vendor": "github", "baseUrl": server.url}}
        async with a_ward(tmp_path, revokers=revokers) as ward:
            a_run(ward)
            leak(ward, f"{GITHUB} and {pypi}")
            ward.declare(Scenario.SECURITY_ALERT, runs=["run-1"])
            others = (await ward.run("security.scope")).findings["others"]
            assert [one.partition(" ")[0] for one in others] == ["github-token", "pypi-token"]
            preview = await ward.preview("security.rotate", others=others)
            assert f"{others[0]}: revoke it at GitHub (revoker any)" in preview
            assert f"{others[1]}: revoke it yourself at https://pypi.org/manage/account/token/" in preview
            done = await ward.run("security.rotate", others=others)
            assert (done.findings["revoked"], server.valid) == (others[:1], set())
            assert done.findings["probed"] == {others[0]: "refused", others[1]: "unknown"}


async def test_a_provider_s_key_is_probed_at_the_configured_address(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"PAID_KEY={OLD}\n")
    async with vendor_server(openai, OLD) as server:
        paid = provider_at(server.url, apiKeyEnv="PAID_KEY")
        async with a_ward(tmp_path, {"paid": paid}) as ward:
            a_run(ward)
            leak(ward)
            ward.declare(Scenario.SECURITY_ALERT, runs=["run-1"])
            await ward.run("security.scope")
            for valid, upset, expected in (
                ({OLD}, None, "accepted"),
                (set(), None, "refused"),
                (set(), lambda _: JSONResponse({"data": []}), "unknown"),  # it accepts any key
                (set(), lambda _: JSONResponse({}, 403), "unknown"),
            ):
                server.valid, server.upset = valid, upset
                done = await ward.run("security.rotate", variables=["PAID_KEY"])
                assert done.findings["probed"] == {"PAID_KEY": expected}
            assert {one.path for one in server.received} == {"/v1/models"}


def advise(root: Path, package: str, fixed: str, last: str = "") -> None:
    """An advisory about every version of a package before `fixed`, or up to `last` where none is mended."""
    folder = root / "var" / "advisories"
    folder.mkdir(parents=True, exist_ok=True)
    events = [{"introduced": "0"}, {"last_affected": last} if last else {"fixed": fixed}]
    record = {
        "id": f"TEST-{package}",
        "modified": "2026-11-20T00:00:00Z",
        "summary": "reads what it should not",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": package},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
        ],
    }
    (folder / f"{package}.json").write_text(json.dumps(record))


def a_wheel(folder: Path, name: str, version: str) -> None:
    """A package that can be installed and holds nothing."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)


async def test_installed_packages_are_compared_with_the_advisories(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        none = (await ward.run("security.vulnerabilities")).findings
        assert none == {"vulnerable": 0, "found": [], "advisories": 0, "stale": True}
        advise(ward.root, "click", "999.1")
        found = await ward.run("security.vulnerabilities")
        assert (found.findings["vulnerable"], found.findings["found"]) == (1, ["click"])
        assert "mended in 999.1" in found.evidence["TEST-click"]


async def test_the_update_is_prepared_from_the_advisories_and_waits_for_a_person(tmp_path: Path) -> None:
    automation = {"actions": {"security.update-command": "auto"}}
    async with a_ward(tmp_path, automation=automation) as ward:
        advise(ward.root, "click", "999.1")
        decision = await ward.decide("security.update-command", {"packages": ["click"]})
        assert decision.mode is Mode.ASK
        assert decision.preview.endswith("-m pip install click==999.1`, then restart the system")
        suggested = await ward.decide("security.update-command", {"packages": ["click"]}, Mode.SUGGEST)
        assert suggested.preview == decision.preview
        none = await ward.run("security.update-command", packages=["rich"])
        assert none.findings == {"updated": []}
        assert await ward.undo("security.update-command", none) == "nothing had been installed"
        advise(ward.root, "rich", "0.0.1", last="999.1")
        with pytest.raises(ActionError, match="expected a mended version of rich in the advisories"):
            await ward.run("security.update-command", packages=["rich"])


async def test_an_update_installs_just_that_version_and_the_former_one_when_it_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    for version in ("1.0", "1.1", "2.0"):
        a_wheel(wheels, "tinytestpackage", version)
    with zipfile.ZipFile(wheels / "tinytestpackage-1.0-py3-none-any.whl") as wheel:
        wheel.extractall(site)
    # pip installs into a folder of the test and asks nobody; the environment of the tests stays as it is.
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_TARGET": str(site), "PIP_UPGRADE": "1"}
    with an_environment(**settings, PIP_DISABLE_PIP_VERSION_CHECK="1"):
        monkeypatch.syspath_prepend(str(site))
        async with a_ward(tmp_path / "project") as ward:
            advise(ward.root, "tinytestpackage", "1.1")
            updated = await ward.run("security.update-command", packages=["tinytestpackage"])
            assert (updated.findings["updated"], updated.undo) == (
                ["tinytestpackage"],
                {"versions": {"tinytestpackage": "1.0"}},
            )
            assert [duty.kind for duty in updated.duties] == [DutyKind.RESTART_SYSTEM]
            assert "1.1" in (site / "tinytestpackage.py").read_text()
            await ward.undo("security.update-command", updated)
            assert "1.0" in (site / "tinytestpackage.py").read_text()


class Keeper:
    """What looks after backups, as a test wants it."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    async def integrity(self) -> Any:
        return self._answers["integrity"]

    async def rehearse_restore(self) -> Any:
        return self._answers["restore"]


async def test_integrity_looks_at_the_artifacts_and_the_chain_of_the_audit_log(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        a_run(ward)
        path = leak(ward, "nothing")
        ward.declare(Scenario.SECURITY_ALERT, runs=["run-1"])
        whole = await ward.run("security.integrity")
        assert whole.findings == {"intact": True, "problems": [], "audit_checked": False}
        assert "the chain of the audit log was not checked" in whole.summary
        path.write_text("tampered with")
        ward.use(backups=Keeper(integrity={"problems": ["audit entry 7 was changed"], "audit_checked": True}))
        found = (await ward.run("security.integrity")).findings
        assert found["problems"] == ["artifact run-1/notes.md was changed", "audit entry 7 was changed"]
        assert found["audit_checked"]


async def test_a_restore_is_rehearsed_by_what_looks_after_backups(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        with pytest.raises(ActionError, match="this process does not manage backups"):
            await ward.run("security.restore-test")
        ward.use(backups=Keeper(restore={"restored": True, "seconds": 1.25, "problems": []}))
        assert (await ward.run("security.restore-test")).findings["seconds"] == 1.25
        ward.use(backups=Keeper(restore={"restored": False, "seconds": 0.1, "problems": ["it is damaged"]}))
        with pytest.raises(OrchestratorError, match="could not be restored: it is damaged"):
            await ward.run("security.restore-test")
