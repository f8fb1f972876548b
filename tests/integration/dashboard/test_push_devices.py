"""Devices for push messages: subscribed, tested and removed on the page On call, each user's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestration.app.contacts import READY, contact_channels
from orchestration.app.push_devices import MOST_DEVICES, PushDevices
from orchestration.security.link_key import WEB_PUSH_FILE
from orchestration.security.principal import Principal, Role
from tests.support.dashboard import ADMIN, Dashboard, a_dashboard
from tests.support.project import ProjectFolder
from tests.support.push_service import a_device

PUSH = {"type": "web-push", "sender": "ops@example.org"}
FORM = dict(zip(("p256dh", "auth"), a_device().keys, strict=True))


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    project = ProjectFolder(tmp_path_factory.mktemp("project"), {})
    places = [{"channel": "push", "address": "ada"}, {"channel": "log"}]
    response = {"channels": {"push": PUSH}, "contacts": [{"id": "oncall", "level": 1, "channels": places}]}
    project.configure({**project.settings, "response": response})
    with a_dashboard(project.configuration_file) as one:
        yield one
        assert one.faults == []


def state(dashboard: Dashboard) -> str:
    return next(one.state for one in contact_channels(dashboard.app) if one.channel == "push")


def subscribe(dashboard: Dashboard, endpoint: str, label: str = "Firefox on Linux", **more: str) -> int:
    form = {**FORM, "endpoint": endpoint, "label": label, **more}
    status: int = dashboard.post("/on-call/push-subscribe", **form).status_code
    return status


def test_a_user_subscribes_tests_and_removes_their_own_devices(dashboard: Dashboard) -> None:
    devices = PushDevices(dashboard.app)
    assert state(dashboard) == "no device is subscribed"
    assert dashboard.post("/on-call/push-test").status_code == 409
    key = devices.public_key()
    assert f'data-key="{key}"' in dashboard.get("/on-call").text
    assert (dashboard.app.state_folder / WEB_PUSH_FILE).stat().st_mode & 0o077 == 0

    for _ in range(2):  # a browser that subscribes again is the same device
        assert subscribe(dashboard, "https://push.example.com/send/secret-1") == 303
    (one,) = devices.of_user("ada")
    page = dashboard.get("/on-call").text
    assert "Firefox on Linux" in page
    assert "push.example.com" in page
    assert "secret-1" not in page
    assert FORM["auth"] not in page
    assert state(dashboard) == READY

    assert dashboard.post("/on-call/push-test").status_code == 303
    (row,) = PushDevices(dashboard.app).send_test("ada")
    assert (row.contact, row.channel, row.address) == ("oncall", "push", "ada")

    dashboard.principal = Principal("ben", Role.RESPONDER)
    assert "Firefox on Linux" not in dashboard.get("/on-call").text
    assert "with the address <code>ben</code>" in dashboard.get("/on-call").text
    assert dashboard.post("/on-call/push-remove", device=one.id).status_code == 404
    dashboard.principal = ADMIN
    assert dashboard.post("/on-call/push-remove", device=one.id).status_code == 303
    assert devices.of_user("ada") == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "http://push.example.com/x"},
        {"endpoint": "https://127.0.0.1/x"},
        {"endpoint": "https://10.0.0.7:8443/x"},
        {"endpoint": "https://[::1]/x"},
        {"endpoint": "https://metadata.google.internal/x"},
        {"endpoint": "https://user@push.example.com/x"},
        {"endpoint": "https://push.example.com:99999/x"},
        {"endpoint": "https://push.example.com/" + "x" * 2_000},
        {"endpoint": "https://[/x"},
        {"p256dh": "AAAA"},
        {"auth": "é"},
    ],
)
def test_what_no_browser_sends_is_refused(dashboard: Dashboard, wrong: dict[str, str]) -> None:
    form = {**FORM, "endpoint": "https://push.example.com/send/2", "label": "x", **wrong}
    assert dashboard.post("/on-call/push-subscribe", **form).status_code == 422
    assert PushDevices(dashboard.app).of_user("ada") == ()


def test_nobody_has_more_devices_than_anybody_needs_and_a_viewer_none(dashboard: Dashboard) -> None:
    dashboard.principal = Principal("cyd", Role.RESPONDER)
    answers = [subscribe(dashboard, f"https://push.example.com/{number}") for number in range(MOST_DEVICES + 1)]
    dashboard.principal = Principal("dan", Role.VIEWER)
    answers.append(subscribe(dashboard, "https://push.example.com/dan"))
    dashboard.principal = ADMIN
    assert answers == [*[303] * MOST_DEVICES, 409, 403]
