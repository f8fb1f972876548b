from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts.batch_redaction import batch_redactor
from orchestration.alerts.text_templates import json_values
from orchestration.security.redaction import Redactor

REDACTOR = Redactor()
REDACTOR.remember(["correct-horse"])
SECRETS = [
    "ghp_" + "a1b2c3d4e5" * 4,
    "password=hunter22",
    "Bearer abcdEFGH1234",
    "correct-horse",
    "postgres://u:pa55word@host/db",
    "sk-" + "Ab1" * 10,
]
TEXT = st.text(max_size=6) | st.sampled_from([*SECRETS, *(f"\n{secret}" for secret in SECRETS), "x", "password", "n"])
VALUES = st.recursive(
    TEXT | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_the_quick_way_hides_what_the_careful_way_hides(value: object) -> None:
    assert batch_redactor(REDACTOR)(value) == REDACTOR.data(value)


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_found_in_every_kind_of_value(secret: str) -> None:
    for value in ([secret], {"a": {"b": ["fine", secret]}}, {secret: 1}, ["before", secret, "after"]):
        assert secret not in repr(batch_redactor(REDACTOR)(value))


def test_what_has_a_telling_name_is_hidden_whatever_it_is() -> None:
    assert batch_redactor(REDACTOR)({"labels": {"password": "short"}}) == {"labels": {"password": "[redacted:secret]"}}


@given(st.dictionaries(st.text(), st.floats() | st.binary() | st.datetimes() | st.tuples(st.text())))
def test_whatever_evidence_is_it_becomes_json_that_can_be_written(evidence: dict[str, object]) -> None:
    import json

    json.dumps(json_values(evidence), allow_nan=False).encode()
    for key in json_values(evidence):
        key.encode()
