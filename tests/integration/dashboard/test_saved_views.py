"""Views of lists that people save under a name and share by a link."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from orchestration.security.principal import Principal, Role
from orchestration.storage.saved_views import MOST_VIEWS, SavedViews
from tests.support.dashboard import Dashboard

FAILED = "/runs?status=failed&range=7+d"


def test_a_view_is_saved_found_on_its_list_shared_and_deleted(dashboard: Dashboard) -> None:
    dashboard.principal = Principal("vic", Role.VIEWER)
    saved = dashboard.post("/views/save", address=f"{FAILED}&before=run-1&done=noted", name="Failed <lately>")
    assert saved.headers["location"] == f"{FAILED}&done=view-saved"
    shown = dashboard.get(FAILED).text
    assert re.search(
        r'<a href="/runs\?status=failed&amp;range=7\+d" aria-current="true">Failed &lt;lately&gt;</a>', shown
    )
    link = re.search(r"<code>(http://[^<]*/views/[^<]*)</code>", dashboard.get("/views").text)
    assert link is not None
    path = urlsplit(link[1]).path
    dashboard.principal = Principal("eve", Role.VIEWER)
    assert dashboard.get(path).headers["location"] == FAILED
    assert "Failed" not in dashboard.get("/views").text, "each person has views of their own"
    view = path.rpartition("/")[2]
    assert dashboard.post("/views/delete", view=view).status_code == 404
    dashboard.principal = Principal("vic", Role.VIEWER)
    again = dashboard.post("/views/save", address="/runs", name="Failed <lately>")
    assert again.status_code == 303
    assert dashboard.get(path).headers["location"] == "/runs", "the same name keeps its link"
    assert dashboard.post("/views/delete", view=view).status_code == 303
    assert dashboard.get(path).status_code == 404
    dashboard.principal = None
    assert dashboard.get(path).status_code == 401


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/runs",
        "//evil.example/runs",
        "/sign-out",
        "/runs/../sign-out",
        "runs",
        "/runs?" + "x=1&" * 999,
    ],
)
def test_a_view_leads_nowhere_but_to_a_list(dashboard: Dashboard, address: str) -> None:
    dashboard.principal = Principal("vic", Role.VIEWER)
    refused = dashboard.post("/views/save", address=address, name="x")
    assert refused.status_code == 422
    assert "Only views of these lists can be saved" in refused.text


def test_one_person_saves_so_many_views_and_no_more(dashboard: Dashboard) -> None:
    dashboard.principal = Principal("many", Role.VIEWER)
    views = SavedViews(dashboard.app.database)
    for number in range(MOST_VIEWS):
        views.save("many", f"view {number}", "/runs", dashboard.app.clock.now())
    refused = dashboard.post("/views/save", address="/runs", name="one more")
    assert refused.status_code == 409
    assert f"There are {MOST_VIEWS} saved views already" in refused.text
