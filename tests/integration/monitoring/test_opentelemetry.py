"""What a collector receives of runs and incidents, over OTLP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="NOT TESTED: install requirements.txt anew, it has OpenTelemetry now")

from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from orchestration.app import application
from orchestration.domain.run_status import RunStatus
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.model import person
from orchestration.incidents.report import BlastRadius
from orchestration.storage.timeline import Timeline
from orchestration.telemetry.incident_spans import TracedAction, TracedIncident, spans_of_incident
from orchestration.telemetry.otlp import OtlpExporter
from orchestration.telemetry.span import SpanContext, caller_trace
from tests.integration.agents.rooms import Rooms, ScriptedModel, configure, looks
from tests.support.incidents import a_report
from tests.support.otlp import Collector, attributes_of
from tests.support.patience import until_async

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# model/gen-ai/spans.yaml of the semantic conventions for generative AI, revision 7e7e4e7: by operation, the kind of the
# span, what it must have, and what it must have where it is known.
CONVENTIONS: dict[str, tuple[int, set[str], set[str]]] = {
    "invoke_workflow": (WireSpan.SPAN_KIND_INTERNAL, set(), {"gen_ai.workflow.name"}),
    "invoke_agent": (WireSpan.SPAN_KIND_INTERNAL, {"gen_ai.provider.name"}, {"gen_ai.agent.name"}),
    "execute_tool": (WireSpan.SPAN_KIND_INTERNAL, {"gen_ai.tool.name"}, set()),
    "chat": (WireSpan.SPAN_KIND_CLIENT, {"gen_ai.provider.name"}, {"gen_ai.request.model"}),
}
KNOWN = {
    *(
        value
        for name, value in vars(gen_ai_attributes).items()
        if name.startswith("GEN_AI_") and isinstance(value, str)
    ),
    # Newer than the package: the last of them are from the revision above.
    *("gen_ai.workflow.name", "gen_ai.response.time_to_first_chunk", "gen_ai.usage.cache_read.input_tokens"),
}


@asynccontextmanager
async def traced(
    root: Path, collector: Collector, script: Any = looks, **more: Any
) -> AsyncIterator[tuple[Rooms, Any]]:
    with ScriptedModel(script) as model:
        file = configure(root, model.url, **more)
        document = json.loads(file.read_text())
        document["metadata"] = {"name": "sample"}
        document["monitoring"] = {"openTelemetry": {"endpoint": collector.url, "headersEnv": "OTLP_HEADERS"}}
        file.write_text(json.dumps(document))
        (root / ".env").write_text("OTLP_HEADERS=x-tenant=blue\n")
        async with application(str(file)) as app:
            yield Rooms(root, app), model


def named(collector: Collector) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for span in collector.spans:
        found.setdefault(attributes_of(span)["gen_ai.operation.name"], []).append(span)
    return found


async def test_a_run_is_one_trace_by_the_conventions_in_that_of_its_caller(tmp_path: Path) -> None:
    with Collector() as collector:
        async with traced(tmp_path, collector) as (house, model):
            run = await house.run(options=caller_trace(CALLER))
            assert run.status is RunStatus.SUCCEEDED
        found = named(collector)
        assert set(found) == set(CONVENTIONS)
        for span in collector.spans:
            check(span)
            assert span.trace_id.hex() == CALLER.split("-")[1]
        (workflow,), (agent,) = found["invoke_workflow"], found["invoke_agent"]
        assert workflow.parent_span_id.hex() == CALLER.split("-")[2]
        assert agent.parent_span_id == workflow.span_id
        assert {span.parent_span_id for span in (*found["chat"], *found["execute_tool"])} == {agent.span_id}
        for span in collector.spans:
            assert workflow.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
            assert span.end_time_unix_nano <= workflow.end_time_unix_nano
        context = SpanContext(int(agent.trace_id.hex(), 16), int(agent.span_id.hex(), 16))
        assert {headers["traceparent"] for headers in model.headers} == {context.traceparent}
        assert len({span.span_id for span in collector.spans}) == len(collector.spans)
        assert len(found["chat"]) == len(house.of("model_call.finished"))
        assert len(found["execute_tool"]) == len(house.of("tool_call.finished"))
        # Logs belong to the trace of their run.
        assert {record.event_name for record in collector.records} >= {"run.created", "run.finished"}
        of_run = [record for record in collector.records if record.event_name == "run.finished"]
        assert of_run[0].trace_id == workflow.trace_id
        assert {metric.name for metric in collector.metrics} >= {
            *("gen_ai.client.token.usage", "gen_ai.client.operation.duration", "gen_ai.workflow.duration"),
            *("gen_ai.invoke_agent.duration", "gen_ai.execute_tool.duration"),
        }
        assert {headers["x-tenant"] for headers in collector.headers} == {"blue"}


def check(span: Any) -> None:
    """Hold a span against the conventions."""
    attributes = attributes_of(span)
    kind, required, where_known = CONVENTIONS[attributes["gen_ai.operation.name"]]
    assert span.kind == kind
    assert required | where_known <= set(attributes)
    assert {name for name in attributes if name.startswith("gen_ai.")} <= KNOWN
    assert ("error.type" in attributes) == (span.status.code == Status.STATUS_CODE_ERROR)
    second = ("gen_ai.workflow.name", "gen_ai.agent.name", "gen_ai.tool.name", "gen_ai.request.model")
    expected = {f"{attributes['gen_ai.operation.name']} {attributes[name]}" for name in second if name in attributes}
    assert span.name in expected


async def test_a_failure_is_an_error_in_its_trace_and_another_attempt_is_another_span(tmp_path: Path) -> None:
    with Collector() as collector:
        async with traced(tmp_path, collector, lambda _: 400) as (house, model):
            run = await house.run()
            assert run.status is RunStatus.FAILED
            await until_async(lambda: collector.spans, 15)
            failed = list(collector.spans)
            for span in failed:
                check(span)
            assert {span.status.code for span in failed} == {Status.STATUS_CODE_ERROR}
            model.script = looks
            await house.app.launcher.resume(run.id)
            await house.app.engine.result(run.id)
        later = [span for span in collector.spans if span not in failed]
        assert [span.status.code for span in later if span.name.startswith("invoke_workflow")] == [0]
        assert not {span.span_id for span in later} & {span.span_id for span in failed}


async def test_what_is_being_sent_when_the_process_ends_still_arrives(tmp_path: Path) -> None:
    with Collector() as collector:
        collector.holds = "run.finished"
        async with traced(tmp_path, collector) as (house, _):
            await house.run()
            await until_async(lambda: any(one.event_name == "run.finished" for one in collector.records), 15)
            # It waits for the answer to the logs, and has not sent the spans of the run.
            assert not collector.spans
            asyncio.get_running_loop().call_later(1, collector.answers.set)
        assert set(named(collector)) == set(CONVENTIONS)


async def test_a_program_is_told_the_trace(tmp_path: Path) -> None:
    script = ["sh", "-c", 'echo "$TRACEPARENT" > "$ORCHESTRATOR_ANSWER"']
    agents = [{"id": "tool", "role": "worker", "entryPoint": script}]
    with Collector() as collector:
        async with traced(tmp_path, collector, agents=agents) as (house, _):
            await house.run(agent="tool")
        (told,) = tmp_path.glob("artifacts/run-*/*.md")
        context = SpanContext.parse(told.read_text())
        assert context is not None
        (agent,) = named(collector)["invoke_agent"]
        assert (agent.trace_id.hex(), agent.span_id.hex()) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


async def test_a_resolved_incident_is_sent_with_a_link_to_the_run_that_failed(tmp_path: Path) -> None:
    with Collector() as collector:
        async with traced(tmp_path, collector, lambda _: 400) as (house, _):
            run = await house.run()
            service = house.app.incident_service
            report = a_report(at=house.app.clock.now(), blast_radius=BlastRadius(runs=(run.id,)))
            incident = await house.app.database.call(lambda: service.open_or_join(report))
            resolve = Resolve("mended", anyway=True)
            await house.app.database.call(lambda: service.execute(incident.id, person("ada"), resolve))
        (workflow,) = [span for span in collector.spans if span.name.startswith("invoke_workflow")]
        (own,) = [span for span in collector.spans if span.name == "incident agent-failure"]
        assert [(link.trace_id, link.span_id) for link in own.links] == [(workflow.trace_id, workflow.span_id)]
        assert attributes_of(own)["orchestration.incident.id"] == incident.id
        assert "orchestration.incident.changes" in {metric.name for metric in collector.metrics}


async def test_a_collector_that_is_away_holds_nothing_up(tmp_path: Path) -> None:
    with Collector() as collector:
        url = collector.url
    collector.url = url
    async with traced(tmp_path, collector) as (house, _):
        assert (await house.run()).status is RunStatus.SUCCEEDED


def test_an_incident_is_linked_to_the_trace_that_failed() -> None:
    begun = datetime(2026, 11, 25, tzinfo=UTC)
    failed = SpanContext.derived("run-1")
    actions = [
        TracedAction(
            f"k{place}", name, phase, "done", begun, begun + timedelta(seconds=1), phase == "verify", False, ""
        )
        for place, (name, phase) in enumerate((("run.restart", "mitigate"), ("evidence.runs", "verify")))
    ]
    incident = TracedIncident(
        "inc-1",
        "It fails with sk-secret",
        "agent-failure",
        "P2",
        begun,
        begun + timedelta(minutes=1),
        [failed],
        actions,
    )
    with Collector() as collector:
        exporter = OtlpExporter(collector.url, {}, "test", lambda text: text.replace("sk-secret", "***"))
        assert exporter.send_spans(spans_of_incident(incident))
        exporter.close()
    own, restart, verify = collector.spans
    assert [span.name for span in collector.spans] == [
        "incident agent-failure",
        "action run.restart",
        "verify evidence.runs",
    ]
    assert {restart.parent_span_id, verify.parent_span_id} == {own.span_id}
    assert {link.trace_id.hex() for span in collector.spans for link in span.links} == {f"{failed.trace_id:032x}"}
    assert attributes_of(own)["orchestration.incident.title"] == "It fails with ***"


@pytest.mark.parametrize(
    "text",
    ["", "x", CALLER + "-more", CALLER.replace("00-", "ff-", 1), f"00-{'0' * 32}-{'1' * 16}-01", CALLER.upper()],
)
def test_what_is_no_trace_context_is_ignored(text: str) -> None:
    assert caller_trace(text) == {}


def test_what_a_later_version_adds_is_ignored() -> None:
    assert caller_trace(CALLER.replace("00-", "01-", 1) + "-more") == {"traceparent": CALLER}


async def test_a_run_has_its_span_although_its_end_is_not_on_the_timeline_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = Timeline.list

    def behind(self: Timeline, *given: Any, **more: Any) -> Any:
        return [(place, one) for place, one in listed(self, *given, **more) if one.kind != "run.finished"]

    with Collector() as collector:
        async with traced(tmp_path, collector) as (house, _):
            monkeypatch.setattr(Timeline, "list", behind)
            await house.run()
        assert set(named(collector)) == set(CONVENTIONS)
