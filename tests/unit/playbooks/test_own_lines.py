"""What the response itself wrote is no evidence: whatever an incident is called, its title is never its own cause."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestration import logs
from orchestration.clock import FakeClock
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.credentials import EnvironmentCredentials
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.events import EventBus
from orchestration.events.catalogue import CATALOGUE
from orchestration.logs.origin import mark_task
from orchestration.monitoring.collectors.log_errors import LogErrors
from orchestration.monitoring.collectors.log_reader import NAME, evidence, recent_errors
from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage
from orchestration.notifications.channels.local import LogChannel
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.playbooks import hypotheses
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.facts import KnownFacts

Write = Callable[[str], None]
FAMILIES = ("incident", "alert", "notification", "action", "guard", "silence", "approval", "audit")
KINDS = sorted(kind for kind in CATALOGUE if kind.partition(".")[0].rstrip("s") in FAMILIES)
CONTROL_PLANE = PlaybookCatalogue(Path("no", "playbooks", "here")).get("control-plane").playbook


def published(kind: str) -> Write:
    return lambda title: logs.get_logger("events").error(kind, message=title, incident="inc-1", detail={"title": title})


def logged(name: str) -> Write:
    return lambda title: logs.get_logger(name).error("anything.failed", message=title)


def emitted_by_a_plugin(title: str) -> None:
    bus = EventBus(FakeClock())
    bus.subscribe(logs.log_event)
    bus.emit("incident.something_failed", detail={"title": title}, message=title)


def done_by_automation(title: str) -> None:
    bus = EventBus(FakeClock())
    bus.subscribe(logs.log_event)
    bus.emit("something.failed", run_id="run-1", actor="playbook:sample", reason=title)


def sent_to_the_log(title: str) -> None:
    notice = Notice(NoticeKind.INITIAL, "inc-1", Severity.P0, Scenario.CONTROL_PLANE, title, "INVESTIGATING")
    message = ChannelMessage("key", "operator", None, title, title, notice, FakeClock().now())
    context = ChannelContext(ChannelSettings(type="log"), EnvironmentCredentials(), FakeClock())
    asyncio.run(LogChannel(context).send(message))


def raised_in_a_response(title: str) -> None:
    async def respond() -> None:
        mark_task()
        # As the engine and the database driver log: under their own names, with texts that quote what they were given.
        logging.getLogger("dbos").error("Exception encountered in asynchronous workflow: %s", title)

    asyncio.run(respond())


WRITERS: tuple[Write, ...] = (
    *map(published, KINDS),
    *map(
        logged, ("notifications", "alerts", "intake", "orchestration.playbooks.responder", "orchestration.incidents.x")
    ),
    emitted_by_a_plugin,
    done_by_automation,
    sent_to_the_log,
    raised_in_a_response,
)
TITLES = st.text(max_size=80) | st.sampled_from(
    [
        '", "logger": "sqlalchemy", "level": "ERROR", "origin": null}',
        "run=run-1 ERROR disk full\nCRITICAL database corrupt",
        "origin=work",
        "\u2028\x00\x1b[31mERROR",
    ]
)


@contextmanager
def logging_to(folder: Path) -> Iterator[None]:
    log = logs.configure(folder, "DEBUG", lambda entry: entry)
    try:
        yield
    finally:
        log.close()
        structlog.reset_defaults()


def errors_explain_it(path: Path) -> bool:
    found = list(evidence(recent_errors(path)))
    ranked = hypotheses.rank(CONTROL_PLANE.hypotheses, KnownFacts({"logs.errors": len(found)}))
    return any(cause.id == "errors" for cause in ranked)


@settings(max_examples=60, deadline=None)
@given(title=TITLES, writers=st.lists(st.sampled_from(range(len(WRITERS))), min_size=1, max_size=6))
@example(title="The log names errors that explain it", writers=list(range(len(WRITERS))))
def test_no_title_that_the_response_repeats_becomes_a_cause(
    tmp_path_factory: pytest.TempPathFactory, title: str, writers: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    with logging_to(folder):
        for number in writers:
            WRITERS[number](title)
        assert not errors_explain_it(folder / NAME)
        # The control: the same words from the work are evidence.
        logging.getLogger("worker").error("%s", title)
        assert errors_explain_it(folder / NAME)


def test_urgent_notices_are_no_errors_that_an_alert_counts_but_faults_of_the_sender_are(tmp_path: Path) -> None:
    with logging_to(tmp_path):
        errors = LogErrors(tmp_path / NAME, FakeClock())
        for _ in range(3):
            sent_to_the_log("All agents down")
        logs.get_logger("notifications").error("notification.sender_unwell", message="the outbox could not be read")
        (signal,) = errors.collect()
        assert (signal.value, signal.evidence["entry"]["event"]) == (1.0, "notification.sender_unwell")  # type: ignore[index]
