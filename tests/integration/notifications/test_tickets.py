"""One incident, one ticket: against servers of the shapes of GitHub's and Jira's REST APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.response import Contact, ContactAddress, ResponseSettings
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.action_items import AddActionItem, CompleteActionItem
from orchestration.incidents.commands.reopen import Reopen
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.report import Facts
from orchestration.incidents.service import IncidentService, Ports
from orchestration.notifications.notice import NoticeKind
from orchestration.notifications.recipients import plan
from tests.integration.notifications.conftest import SenderBench
from tests.integration.notifications.test_conversations import pass_time
from tests.support.incidents import ADA, a_report
from tests.support.notices import a_notice
from tests.support.ticket_servers import GithubServer, JiraServer, TicketServer, ticket_server

MakeBench = Callable[..., SenderBench]
ASSIGN = [
    {"match": ["scenario=security-alert"], "assignees": ["grace"]},
    {"match": ["agent=~exec.*"], "assignees": ["ada"], "labels": ["agents"]},
]
STORY = ((NoticeKind.INITIAL, "initial-1"), (NoticeKind.UPDATE, "update-1"), (NoticeKind.RESOLVED, "resolved-1"))
LABELS = {"agent": "executor"}


@pytest.fixture(params=["github", "jira-cloud", "jira-data-center"])
def server(request: pytest.FixtureRequest) -> Iterator[TicketServer]:
    makers: dict[str, Callable[[], TicketServer]] = {
        "github": GithubServer,
        "jira-cloud": JiraServer,
        "jira-data-center": lambda: JiraServer(cloud=False),
    }
    with ticket_server(makers[request.param]) as running:
        yield running


@pytest.fixture
def github() -> Iterator[GithubServer]:
    with ticket_server(GithubServer) as running:
        assert isinstance(running, GithubServer)
        yield running


def a_bench(make_bench: MakeBench, server: TicketServer, **options: Any) -> SenderBench:
    channel = ChannelSettings(**server.settings(), token_env="TOKEN", per_second=1000.0, options=options)
    contact = Contact(id="tickets", channels=(ContactAddress(channel="issues", address=server.address),))
    audience = dict.fromkeys(Severity, ("tickets",))
    response = ResponseSettings(
        channels={"issues": channel}, contacts=(contact,), audience=audience, action_items=("tickets",)
    )
    return make_bench(response, credentials={"TOKEN": server.token}, fake=True)


def a_service(bench: SenderBench) -> IncidentService:
    return IncidentService(
        bench.database, bench.bus, bench.clock, Ports(lambda: bench.settings, plan, bench.redactor.data)
    )


async def tell(bench: SenderBench, *story: tuple[NoticeKind, str], rounds: int = 1, **changes: Any) -> None:
    for kind, step in story:
        bench.put(a_notice(kind, labels=LABELS, **changes), step)
        await pass_time(bench, rounds)


def unsent(bench: SenderBench) -> list[str]:
    return [key for key, state in bench.states().items() if state != "sent" and ":log" not in key]


async def test_a_ticket_is_made_assigned_followed_and_closed(make_bench: MakeBench, server: TicketServer) -> None:
    bench = a_bench(make_bench, server, assign=ASSIGN)
    await tell(bench, *STORY, title="@everyone closes #1 ```{noformat}![x](http://evil/x.png)")
    (ticket,) = server.tickets
    assert ticket.title.startswith("[INCIDENT] [Severity: P1] @everyone closes #1")
    assert ticket.assignees == ["ada"]
    assert {"incident", "agents"} <= set(ticket.labels)
    assert "Impact: 3 runs wait for a model" in ticket.text
    assert [one.split("[")[1].split("]")[0] for one in ticket.comments] == ["UPDATE", "RESOLVED"]
    assert not ticket.open
    # What comes from outside is shown as it is: it can neither end the block that it is in nor mean anything there.
    if isinstance(server, GithubServer):
        assert ticket.text.startswith("````text\n")
        assert ticket.text.count("\n````\n\n<!-- orchestrator-inc-01 -->") == 1
    else:
        assert ticket.text.startswith("{noformat}\n")
        assert ticket.text.count("{noformat}") == 2
    assert unsent(bench) == []


async def test_whichever_answer_is_lost_there_is_one_ticket_with_each_comment_once(
    make_bench: MakeBench, server: TicketServer
) -> None:
    whole = a_bench(make_bench, server)
    await tell(whole, *STORY)
    for number in range(len(server.requests)):
        server.tickets, server.requests, server.lost = [], [], {number}
        bench = a_bench(make_bench, server)
        await tell(bench, *STORY, rounds=3, incident_id=f"lost-{number}")
        (ticket,) = server.tickets
        steps = [one.split("[")[1].split("]")[0] for one in ticket.comments]
        assert (steps, ticket.open) == (["UPDATE", "RESOLVED"], False), f"the answer {number} was lost"


def now_in(bench: SenderBench, **span: float) -> str:
    return str(int((bench.clock.now() + timedelta(**span)).timestamp()))


async def test_limits_of_rate_are_waited_for(make_bench: MakeBench, github: GithubServer) -> None:
    bench = a_bench(make_bench, github)
    secondary = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
    limits: list[tuple[int, Any, dict[str, str], float]] = [
        (403, secondary, {"retry-after": "120"}, 120),
        (403, secondary, {}, 60),
        (403, {"message": "API rate limit exceeded"}, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": ""}, 600),
        (429, {}, {}, 60),
        (429, {}, {"retry-after": "30"}, 30),
    ]
    for number, (status, body, headers, seconds) in enumerate(limits):
        sent = {
            **headers,
            **({"x-ratelimit-reset": now_in(bench, seconds=600)} if "x-ratelimit-reset" in headers else {}),
        }
        github.replies = [(status, body, sent)]
        (row,) = bench.put(a_notice(incident_id=f"inc-{number}"), "initial-1")
        await bench.sender().send_due()
        (waiting,) = bench.outbox.list_pending()
        assert (waiting.due_at - bench.clock.now()).total_seconds() == pytest.approx(seconds, abs=2)
        assert len(github.tickets) == number
        await pass_time(bench, int(seconds / 90) + 2)
        assert len(github.tickets) == number + 1
        assert [one.outcome.value for one in bench.outbox.list_attempts(row.key)] == ["retried", "sent"]


async def test_an_outage_of_hours_loses_neither_the_incident_nor_its_action_items(
    make_bench: MakeBench, server: TicketServer
) -> None:
    bench = a_bench(make_bench, server)
    service = a_service(bench)
    server.down = True
    incident = service.open_or_join(a_report(Facts(has_workaround=True), bench.clock.now(), labels=LABELS))
    assert (incident is not None and incident.severity) is Severity.P3
    await pass_time(bench, 10)
    service.execute(incident.id, ADA, AddActionItem("check the limits", "grace", date(2026, 4, 1)))
    await pass_time(bench, 20)
    service.execute(incident.id, ADA, Resolve("put it right", anyway=True))
    await pass_time(bench, 90)
    assert server.tickets == []
    server.down = False
    await pass_time(bench, 6)
    by_title = {one.title.split("]")[-1].strip(): one for one in server.tickets}
    assert len(server.tickets) == len(by_title) == 2
    about, item = by_title["executor fails"], by_title["check the limits"]
    assert (about.open, item.open) == (False, True)
    assert "Resolution: put it right" in about.text
    assert "Owner: grace" in item.text
    service.execute(incident.id, ADA, CompleteActionItem(1))
    await pass_time(bench, 2)
    assert not item.open
    assert "Status: DONE, done by ada" in item.comments[-1]
    assert len(server.tickets) == 2
    threads = bench.outbox.threads.list_for_incident(incident.id)
    assert {(one.item, one.reference.rpartition("/")[2].removeprefix("OPS-")) for one in threads} == {
        (None, str(about.number)), (1, str(item.number)),
    }  # fmt: skip


async def test_an_incident_that_comes_back_opens_its_ticket_again_and_a_deleted_one_is_made_anew(
    make_bench: MakeBench, server: TicketServer
) -> None:
    bench = a_bench(make_bench, server)
    service = a_service(bench)
    incident = service.open_or_join(a_report(at=bench.clock.now()))
    await pass_time(bench, 2)
    service.execute(incident.id, ADA, Resolve("thought so", anyway=True))
    await pass_time(bench, 2)
    (ticket,) = server.tickets
    assert not ticket.open
    service.execute(incident.id, ADA, Reopen("it fails again"))
    await pass_time(bench, 2)
    assert ticket.open
    ticket.deleted = True
    service.execute(incident.id, ADA, Resolve("mended", anyway=True))
    await pass_time(bench, 2)
    _, second = server.tickets
    assert (second.open, "Resolution: mended" in second.text) == (False, True)


async def test_a_person_who_has_left_and_a_token_that_has_expired_cost_no_ticket(
    make_bench: MakeBench, server: TicketServer
) -> None:
    bench = a_bench(make_bench, server, assign=[{"assignees": ["somebody-who-left"]}])
    right, server.token = server.token, "another"
    await tell(bench, STORY[0], rounds=8)
    assert server.tickets == []
    assert "notification.retried" in {event.kind for event in bench.events}
    server.token = right
    await pass_time(bench, 5)
    (ticket,) = server.tickets
    assert ticket.assignees == []


async def test_a_test_makes_no_ticket_and_says_what_is_wrong(make_bench: MakeBench, server: TicketServer) -> None:
    bench = a_bench(make_bench, server)
    bench.put(a_notice(NoticeKind.TEST), "test-1")
    await bench.sender().send_due()
    assert (server.tickets, unsent(bench)) == ([], [])
    channel = bench.settings.channels["issues"]
    contact = Contact(id="tickets", channels=(ContactAddress(channel="issues", address="no/such"),))
    wrong = ResponseSettings(channels={"issues": channel}, contacts=(contact,))
    bench.settings = wrong
    (row,) = bench.put(a_notice(NoticeKind.TEST), "test-2")
    await bench.sender().send_due()
    (attempt,) = bench.outbox.list_attempts(row.key)
    assert (attempt.outcome.value, "answered 404" in attempt.detail) == ("failed", True)


async def test_many_tickets_of_others_do_not_hide_ours(make_bench: MakeBench, github: GithubServer) -> None:
    bench = a_bench(make_bench, github)
    await tell(bench, STORY[0])
    (ours,) = github.tickets
    fillers = [type(ours)(number, "other", "…", [], []) for number in range(2, 140)]
    github.tickets = [*fillers, ours]
    again = a_bench(make_bench, github)
    # As if the process had died between the answer and its record.
    bench.database.close()
    await tell(again, (NoticeKind.INITIAL, "initial-2"))
    assert len(github.tickets) == len(fillers) + 1
