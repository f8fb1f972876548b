from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration.config.findings import FindingCode
from tests.unit.config.conftest import Change, Judge


def codes(judge: Judge, change: Change, variables: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return [(finding.code.value, finding.path) for finding in judge(change, variables).findings]


def runtime(**values: Any) -> Change:
    return lambda good: good["runtime"].update(values)


def agent(index: int, **values: Any) -> Change:
    return lambda good: good["agents"][index].update(values)


def schedule(**values: Any) -> Change:
    whole = {"name": "nightly", "cron": "0 3 * * *", "goal": "tidy up", **values}
    return lambda good: good.update(schedules=[whole])


def both(*changes: Change) -> Change:
    return lambda good: [change(good) for change in changes]


def test_the_good_configuration_has_no_finding(judge: Judge) -> None:
    assert codes(judge, lambda _: None) == []


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        (runtime(defaultProvider="olama"), "E009", "runtime.defaultProvider"),
        (runtime(fallbackProviders=["openai", "nobody"]), "E009", "runtime.fallbackProviders[1]"),
        (agent(1, provider="nobody"), "E009", "agents[1].provider"),
        (schedule(provider="nobody"), "E009", "schedules[0].provider"),
        (agent(1, id="planner"), "E015", "agents[1].id"),
        (agent(0, tools=["read_file", "readfile"]), "E020", "agents[0].tools[1]"),
        (schedule(cron="often"), "E021", "schedules[0].cron"),
        (schedule(cron="61 * * * *"), "E021", "schedules[0].cron"),
        (schedule(timeZone="Europe/Atlantis"), "E022", "schedules[0].timeZone"),
        (schedule(timeZone="../etc/passwd"), "E022", "schedules[0].timeZone"),
        (schedule(timeZone="Europe"), "E022", "schedules[0].timeZone"),
        (schedule(agent="nobody"), "E016", "schedules[0].agent"),
        (runtime(logDirectory="../logs"), "E024", "runtime.logDirectory"),
        (runtime(logDirectory="."), "E024", "runtime.logDirectory"),
        (runtime(artifactsDirectory="/"), "E024", "runtime.artifactsDirectory"),
        (runtime(artifactsDirectory="x/../logs"), "E024", "runtime.artifactsDirectory"),
        (runtime(stateDirectory=" "), "E024", "runtime.stateDirectory"),
        (runtime(fallbackProviders=["openai", "openai"]), "W008", "runtime.fallbackProviders[1]"),
        (runtime(fallbackProviders=[]), "W003", "runtime.fallbackProviders"),
        (runtime(spare={"type": "openai", "defaultModel": "m"}), "W002", "runtime.spare.apiKeyEnv"),
        (runtime(spare={"type": "azure", "defaultModel": "m", "auth": "entra"}), "W006", "runtime.spare.baseUrl"),
        (lambda good: good["runtime"]["ollama"].update(concurrency=0), "W005", "runtime.ollama.concurrency"),
        (lambda good: good["runtime"]["ollama"].update(enabled=False), "E010", "runtime.defaultProvider"),
        (lambda good: good["runtime"]["ollama"].pop("defaultModel"), "E011", "runtime.ollama.defaultModel"),
        (lambda good: good["runtime"]["openai"].update(apiKeyEnv="KEY"), "W002", "runtime.openai.apiKeyEnv"),
    ],
)
def test_each_fault_is_found_where_it_is(judge: Judge, change: Change, code: str, path: str) -> None:
    assert (code, path) in codes(judge, change)


@pytest.mark.parametrize(
    "change",
    [
        schedule(timeZone="Europe/Vienna", cron="*/15 8-18 * * mon-fri", agent="planner"),
        runtime(logDirectory="/var/log/agents", artifactsDirectory="var/artifacts", stateDirectory="var"),
        both(
            lambda good: good["runtime"]["ollama"].pop("defaultModel"), *(agent(i, defaultModel="m") for i in range(3))
        ),
        runtime(spare={"type": "azure", "enabled": False}),
        lambda good: good.update(workflow={"edges": good["workflow"]}),
        lambda good: good.pop("workflow"),
    ],
)
def test_what_is_right_is_left_alone(judge: Judge, change: Change) -> None:
    assert [code for code, _ in codes(judge, change) if code != "E025"] == []


@pytest.mark.parametrize(
    "address",
    [
        "localhost:11434",
        "ftp://host/",
        "http://",
        "http://host:99999",
        "http://me:pass@host",
        "http://a b",
        "http://[x",
    ],
)
def test_an_address_that_cannot_be_called_is_an_error_and_is_not_shown(judge: Judge, address: str) -> None:
    found = judge(lambda good: good["runtime"]["ollama"].update(host=address)).findings
    assert [finding.code for finding in found if finding.path == "runtime.ollama.host"] == [FindingCode.BAD_ADDRESS]
    assert not any("pass@" in str(finding) for finding in found)


def test_missing_credentials_stop_only_what_would_need_them_at_once(judge: Judge) -> None:
    change = both(runtime(defaultProvider="cloud", cloud={"type": "openai", "defaultModel": "m"}))
    assert ("E013", "runtime.cloud.apiKeyEnv") in codes(judge, change)
    assert codes(judge, change, ("OPENAI_API_KEY",)) == []


def test_credentials_are_not_asked_of_an_identity_that_has_none(judge: Judge) -> None:
    cloud = {"type": "azure", "endpoint": "https://r.example/openai/v1", "defaultModel": "m", "auth": "entra"}
    assert codes(judge, runtime(defaultProvider="cloud", cloud=cloud)) == []


def test_a_key_over_plain_http_is_warned_of_except_to_this_machine(judge: Judge) -> None:
    def at(host: str) -> Change:
        cloud = {"type": "openai", "baseUrl": f"http://{host}/v1", "defaultModel": "m", "apiKeyEnv": "KEY"}
        return runtime(cloud=cloud)

    assert codes(judge, at("127.0.0.1:9000"), ("KEY",)) == []
    assert codes(judge, at("models.example"), ("KEY",)) == [("W007", "runtime.cloud.baseUrl")]


def test_github_models_is_told_to_be_retired_with_what_to_use_instead(judge: Judge) -> None:
    github = {"defaultModel": "openai/gpt-4.1"}
    finding = next(
        f for f in judge(runtime(github=github), ("GITHUB_TOKEN",)).findings if f.code is FindingCode.RETIRED_PROVIDER
    )
    assert "Azure AI Foundry" in finding.hint


def test_a_retired_provider_is_no_usable_fallback(judge: Judge) -> None:
    change = runtime(github={"defaultModel": "openai/gpt-4.1"}, fallbackProviders=["github"])
    assert ("W003", "runtime.fallbackProviders") in codes(judge, change, ("GITHUB_TOKEN",))


def test_a_server_of_ones_own_under_the_name_github_is_not_retired(judge: Judge) -> None:
    github = {"defaultModel": "m", "endpoint": "https://models.example"}
    assert codes(judge, runtime(github=github), ("GITHUB_TOKEN",)) == []


def test_the_rehearsal_model_never_stands_behind_a_real_provider(judge: Judge) -> None:
    change = runtime(rehearsal={}, fallbackProviders=["openai", "rehearsal"])
    assert codes(judge, change) == [("E014", "runtime.fallbackProviders[1]")]


def test_the_rehearsal_model_alone_is_a_whole_configuration(judge: Judge) -> None:
    assert codes(judge, runtime(rehearsal={}, defaultProvider="rehearsal", fallbackProviders=[])) == []


def edges(*pairs: tuple[str, str]) -> Change:
    return lambda good: good.update(workflow=[{"from": source, "to": target} for source, target in pairs])


def test_an_edge_to_nobody_is_found_at_its_own_end_with_the_nearest_name(judge: Judge) -> None:
    found = judge(edges(("planner", "executer"))).findings
    assert [(f.code, f.path) for f in found] == [(FindingCode.UNKNOWN_AGENT, "workflow[0].to")]
    assert found[0].hint == 'Did you mean "executor"?'


def test_a_circle_is_named_from_end_to_end(judge: Judge) -> None:
    change = edges(("planner", "executor"), ("executor", "reviewer"), ("reviewer", "executor"))
    (finding,) = judge(change).findings
    assert finding.code is FindingCode.WORKFLOW_CYCLE
    assert finding.message in {
        "a cycle: executor → reviewer → executor",
        "a cycle: reviewer → executor → reviewer",
    }
    assert "needs no edge" in finding.hint


def test_an_edge_hands_on_only_what_its_source_delivers(judge: Judge) -> None:
    found = judge(lambda good: good["workflow"][0].update(artifact="plan.txt")).findings
    assert [(f.code, f.path, f.hint) for f in found] == [
        (FindingCode.UNKNOWN_ARTIFACT, "workflow[0].artifact", 'Did you mean "plan.md"?')
    ]


def test_a_requirement_has_to_come_from_another_agent(judge: Judge) -> None:
    assert codes(judge, agent(0, requires=["plan.md"])) == [("E019", "agents[0].requires[0]")]


@pytest.mark.parametrize("edges", ["workflow", ""])
def test_a_requirement_of_what_comes_later_is_a_cycle_with_and_without_edges(judge: Judge, edges: str) -> None:
    def change(good: dict[str, Any]) -> None:
        good["agents"][0]["requires"] = ["review.md"]
        good["workflow"] = good.get(edges, [])

    (finding,) = judge(change).findings
    assert (finding.code, finding.path) == (FindingCode.WORKFLOW_CYCLE, "agents[0].requires")
    assert {"planner", "executor", "reviewer"} <= set(finding.message.split())


def test_an_unwritable_directory_is_found_before_it_is_needed(judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file is in the way")
    assert codes(judge, runtime(logDirectory="taken/logs")) == [("E025", "runtime.logDirectory")]
