from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from orchestration import metrics
from orchestration.metrics import INSTRUMENTS, LABELS, OTHER, Instrument, Metrics, label_value

UNITS = ("total", "seconds", "ratio", "routes", "usable", "isolated", "heartbeats", "connections")


def rendered(instruments: Metrics) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Every sample by its name."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(instruments.render().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def test_every_label_has_a_closed_set_of_values_and_room_for_all_others() -> None:
    for name, values in LABELS.items():
        assert values[-1] == OTHER, name
        assert len(set(values)) == len(values) <= 24, name
    assert {label for one in INSTRUMENTS for label in one.labels} == set(LABELS)


@given(st.sampled_from(sorted(LABELS)), st.one_of(st.text(), st.none(), st.integers()))
def test_whatever_comes_as_a_label_ends_in_its_set(label: str, value: object) -> None:
    assert label_value(label, value) in LABELS[label]


def test_ids_never_make_a_new_series() -> None:
    instruments = Metrics()
    for number in range(200):
        instruments.count(metrics.MODEL_TRIES, provider=f"vendor-{number}", outcome=f"run-{number}")
    series = rendered(instruments)["orchestration_model_call_tries_total"]
    assert series == [({"provider": "other", "outcome": "other"}, 200.0)]


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda one: one.name)
def test_names_end_in_a_base_unit_and_labels_are_no_identifiers(instrument: Instrument) -> None:
    assert re.fullmatch(r"[a-z][a-z_]+", instrument.name)
    assert instrument.name.rpartition("_")[2] in UNITS
    assert (instrument.kind is metrics.Counter) == instrument.name.endswith("_total")
    assert not {"run", "id", "model", "path", "fingerprint", "host"} & set(instrument.labels)
    assert instrument.meaning.endswith(".")


def test_a_missing_label_is_counted_as_other() -> None:
    instruments = Metrics()
    instruments.count(metrics.RUNS)
    assert rendered(instruments)["orchestration_runs_finished_total"] == [({"outcome": "other"}, 1.0)]


def test_two_processes_of_instruments_do_not_share_anything() -> None:
    one, other = Metrics(), Metrics()
    one.count(metrics.RUNS_STARTED, 3)
    assert rendered(one)["orchestration_runs_started_total"] == [({}, 3.0)]
    assert rendered(other)["orchestration_runs_started_total"] == [({}, 0.0)]


def test_gauges_are_set_and_histograms_sum_up() -> None:
    instruments = Metrics()
    instruments.set(metrics.LAG, 0.2)
    instruments.set(metrics.LAG, 0.1)
    for seconds in (0.2, 20.0):
        instruments.observe(metrics.TOOL_SECONDS, seconds, tool="run_command")
    found = rendered(instruments)
    assert found["orchestration_event_loop_lag_seconds"] == [({}, 0.1)]
    assert found["orchestration_tool_call_seconds_sum"] == [({"tool": "run_command"}, 20.2)]
    buckets = {labels["le"]: value for labels, value in found["orchestration_tool_call_seconds_bucket"]}
    assert (buckets["0.1"], buckets["0.25"], buckets["30.0"]) == (0.0, 1.0, 2.0)
