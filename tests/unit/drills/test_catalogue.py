"""The drills that are shipped: enough of them, all scenarios, and each in a project that can be used."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from orchestration.config import findings
from orchestration.config.loader import ConfigLoader
from orchestration.config.providers.kinds import own_provider_kinds
from orchestration.domain.scenario import Scenario
from orchestration.drills import catalogue
from orchestration.drills.expectation import DrillOutcome
from orchestration.drills.model import Drill
from orchestration.drills.project import configuration, laid_over
from orchestration.drills.setup import DrillSetting
from orchestration.errors import NotFoundError
from orchestration.playbooks.actions.registry import REGISTRY
from orchestration.playbooks.catalogue import PlaybookCatalogue
from tests.support.plugins import site_packages

PLAYBOOKS = PlaybookCatalogue(Path("nowhere")).all()
by_name = pytest.mark.parametrize("drill", catalogue.SHIPPED, ids=lambda drill: drill.name)


def urls(setting: DrillSetting) -> dict[str, str]:
    return {name: f"http://127.0.0.1:{9000 + number}" for number, name in enumerate(setting.providers)}


def test_there_are_at_least_25_over_all_scenarios_with_names_of_their_own() -> None:
    assert len(catalogue.SHIPPED) >= 25
    assert len({drill.name for drill in catalogue.SHIPPED}) == len(catalogue.SHIPPED)
    # What other systems report is not examined here, so nothing can be rehearsed for it.
    ours = set(Scenario) - {Scenario.EXTERNAL_ALERT}
    assert set(Counter(drill.scenario for drill in catalogue.SHIPPED)) == ours


@by_name
def test_the_project_of_each_drill_is_a_configuration_without_errors(
    drill: Drill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config" / "agents.config.json"
    file.parent.mkdir()
    file.write_text(json.dumps(configuration(drill.setting, urls(drill.setting))))
    with site_packages(tmp_path / "site", monkeypatch, own_provider_kinds):
        for name, text in drill.setting.files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        loaded = ConfigLoader(file, lambda _: ()).load()
    assert loaded.configuration is not None, [str(finding) for finding in loaded.findings]
    assert [str(finding) for finding in loaded.findings if finding.severity is findings.FindingLevel.ERROR] == []


@by_name
def test_nobody_is_disturbed_by_a_drill(drill: Drill) -> None:
    response = configuration(drill.setting, urls(drill.setting))["response"]
    used = {place["channel"] for contact in response["contacts"] for place in contact["channels"]}
    assert used - drill.expects.channels == {"log"}
    # A channel that a drill needs leads nowhere else than to this machine.
    assert all("//127.0.0.1:" in channel["url"] for channel in response.get("channels", {}).values())


@by_name
def test_what_a_drill_expects_exists(drill: Drill) -> None:
    options = {option.id for entry in PLAYBOOKS for option in entry.playbook.mitigate} | {"by-itself"}
    steps = {step.id for entry in PLAYBOOKS for _, step in entry.playbook.steps()}
    expects = drill.expects
    assert expects.helped is None or expects.helped in options
    assert set(expects.finds) <= steps
    assert {*expects.asks, *expects.offers} <= set(REGISTRY)
    assert (expects.scenario is None) is (expects.ending is DrillOutcome.ABSORBED)


def test_drills_are_found_by_name_and_by_scenario() -> None:
    both = catalogue.find(["provider-killed", "agent-failure", "provider-killed"])
    assert both[0].name == "provider-killed"
    assert {drill.scenario for drill in both[1:]} == {Scenario.AGENT_FAILURE}
    with pytest.raises(NotFoundError, match="expected a drill or a scenario, got 'provider-kiled'"):
        catalogue.find(["provider-kiled"])


def test_objects_are_joined_and_the_upper_value_counts() -> None:
    below = {"a": {"x": 1, "y": {"deep": 1}}, "b": [1]}
    assert laid_over(below, {"a": {"y": {"more": 2}}, "b": [2]}) == {
        "a": {"x": 1, "y": {"deep": 1, "more": 2}},
        "b": [2],
    }
    assert below["a"] == {"x": 1, "y": {"deep": 1}}
