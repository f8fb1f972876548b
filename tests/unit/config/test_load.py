from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestration.config.findings import ConfigurationError, FindingCode
from orchestration.config.loader import load
from orchestration.config.textfile import MAX_BYTES
from orchestration.security.redaction import Redactor
from tests.unit.config.conftest import Judge

SECRET = "hunter2hunter2"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "agents.config.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def only_code(path: Path) -> FindingCode:
    (finding,) = load(path).findings
    return finding.code


def test_a_missing_file_is_one_clear_finding(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    loaded = load(path)
    assert loaded.configuration is None
    assert f"{path}:1:1: E001 it cannot be read: No such file" in str(loaded.findings[0])


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert only_code(tmp_path / "pipe") is FindingCode.UNREADABLE
    assert only_code(tmp_path) is FindingCode.UNREADABLE
    assert only_code(Path("a\0b")) is FindingCode.UNREADABLE


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    assert only_code(write(tmp_path, b" " * (MAX_BYTES + 1))) is FindingCode.TOO_LARGE


def test_a_file_in_another_encoding_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    (finding,) = load(write(tmp_path, '{"é": 1}'.encode("latin-1"))).findings
    assert (finding.code, finding.message) == (FindingCode.NOT_UTF8, "byte 3 is not UTF-8")


def test_a_byte_order_mark_is_accepted(tmp_path: Path, good: dict[str, Any]) -> None:
    assert load(write(tmp_path, b"\xef\xbb\xbf" + json.dumps(good).encode())).findings == ()


def test_a_syntax_error_names_file_line_and_column(tmp_path: Path) -> None:
    path = write(tmp_path, '{\n  "runtime": {\n    "defaultProvider": "ollama"\n    "x": 1\n}}')
    (finding,) = load(path).findings
    assert str(finding).startswith(f'{path}:4:5: E004 this is not JSON; expected "," or "}}"')


@pytest.mark.parametrize("text", ["[]", "null", "3", '"runtime"'])
def test_json_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    assert only_code(write(tmp_path, text)) is FindingCode.NOT_AN_OBJECT


def test_a_key_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, '{"metadata": {},\n"metadata": {}}'))
    assert [(f.code, f.line, f.column) for f in loaded.errors if f.path == "metadata"] == [
        (FindingCode.DUPLICATE_KEY, 2, 1)
    ]


def test_the_text_is_kept_with_its_checksum(tmp_path: Path, good: dict[str, Any]) -> None:
    text = json.dumps(good)
    loaded = load(write(tmp_path, text))
    assert (loaded.text, loaded.sha256) == (text, hashlib.sha256(text.encode()).hexdigest())


def test_all_wrong_values_are_said_at_once_with_their_places(tmp_path: Path) -> None:
    text = """{
 "runtime": {"defaultProvider": 3, "ollama": {"concurrency": "four", "timeouts": {"firstToken": 0}}, "azure": 5},
 "agents": [{"id": "9lives"}, {"entryPoint": "x"}],
 "models": {"ollama": ["a", {"nme": 1}]},
 "workflow": {"edges": [{"from": "a"}]},
 "monitoring": {"logLevel": "LOUD"},
 "schedules": "daily"
}"""
    found = [(f.code.value, f.line, f.path, f.message, f.expected) for f in load(write(tmp_path, text)).errors]
    assert sorted(found) == sorted(
        [
            ("E006", 2, "runtime.defaultProvider", "runtime.defaultProvider is 3", "a string"),
            ("E006", 2, "runtime.ollama.concurrency", 'runtime.ollama.concurrency is "four"', "a whole number"),
            (
                "E006",
                2,
                "runtime.ollama.timeouts.firstToken",
                "runtime.ollama.timeouts.firstToken is 0",
                "greater than 0",
            ),
            ("E006", 2, "runtime.azure", "runtime.azure is 5", "an object"),
            (
                "E006",
                3,
                "agents[0].id",
                'agents[0].id is "9lives"',
                "a letter, then at most 63 letters, digits, or any of _ . -",
            ),
            ("E007", 3, "agents[1].id", '"agents[1].id" is missing', ""),
            (
                "E006",
                3,
                "agents[1].entryPoint",
                'agents[1].entryPoint is "x"',
                "module:function, or a command line as a list of words",
            ),
            ("E007", 4, "models.ollama[1].name", '"models.ollama[1].name" is missing', ""),
            ("E007", 5, "workflow.edges[0].to", '"workflow.edges[0].to" is missing', ""),
            (
                "E006",
                6,
                "monitoring.logLevel",
                'monitoring.logLevel is "LOUD"',
                "'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'",
            ),
            ("E006", 7, "schedules", 'schedules is "daily"', "a list"),
        ]
    )


def test_unknown_keys_are_warned_of_by_name_and_the_file_still_loads(judge: Judge) -> None:
    def older(good: dict[str, Any]) -> None:
        good["runtime"]["defaultProvidr"] = "ollama"
        good["runtime"]["ollama"]["gpuLayers"] = 3
        good["runtime"]["myServer"] = {"host": "http://x"}
        good["agents"][0]["temperature"] = 1
        good["crew"] = {"verbose": True}

    loaded = judge(older)
    assert loaded.usable().runtime.default_provider == "ollama"
    hints = {finding.path: finding.hint for finding in loaded.findings}
    assert set(hints) == {
        "runtime.defaultProvidr",
        "runtime.ollama.gpuLayers",
        "runtime.myServer",
        "agents[0].temperature",
        "crew",
    }
    assert hints["runtime.defaultProvidr"] == 'Did you mean "defaultProvider"?'
    assert '"type"' in hints["runtime.myServer"]
    assert {finding.code for finding in loaded.findings} == {FindingCode.UNKNOWN_KEY}


def test_an_unknown_key_is_shown_where_the_key_stands(tmp_path: Path) -> None:
    found = load(write(tmp_path, '{\n  "crew":\n    {}}')).findings
    assert [(f.line, f.column) for f in found if f.code is FindingCode.UNKNOWN_KEY] == [(2, 3)]


@pytest.mark.parametrize("key", ["apiKey", "api_key", "token", "PASSWORD", "client-secret", "connectionString"])
def test_a_secret_in_the_file_is_an_error_that_does_not_repeat_it(judge: Judge, key: str) -> None:
    loaded = judge(lambda good: good["runtime"]["openai"].update({key: SECRET}))
    assert (FindingCode.LITERAL_SECRET, f"runtime.openai.{key}") in [(f.code, f.path) for f in loaded.errors]
    assert SECRET not in repr(loaded.findings)


@pytest.mark.parametrize("value", ["${GITHUB_TOKEN}", "$GITHUB_TOKEN", "GITHUB_TOKEN", "env:GITHUB_TOKEN", "", "  "])
def test_a_reference_to_a_variable_is_no_secret(judge: Judge, value: str) -> None:
    assert judge(lambda good: good["runtime"]["openai"].update(token=value)).errors == ()


def test_a_secret_is_known_by_its_form_wherever_it_stands(tmp_path: Path, good: dict[str, Any]) -> None:
    good["metadata"] = {"description": "use ghp_" + "a1B2" * 9}
    (finding,) = load(write(tmp_path, json.dumps(good)), find_secrets=Redactor().find).errors
    assert (finding.code, finding.path) == (FindingCode.LITERAL_SECRET, "metadata.description")


def test_a_wrong_value_that_may_be_secret_is_not_shown(tmp_path: Path) -> None:
    text = json.dumps({"runtime": {"ollama": {"concurrency": "ghp_" + "a1B2" * 9, "apiKeyEnv": "x y z"}}})
    loaded = load(write(tmp_path, text), find_secrets=Redactor().find)
    assert "ghp_" not in repr(loaded.findings)
    assert [f.message for f in loaded.errors if f.code is FindingCode.WRONG_VALUE] == [
        "runtime.ollama.concurrency is a string that is not shown",
        'runtime.ollama.apiKeyEnv is "x y z"',
    ]


def test_the_error_for_the_user_lists_all_errors_and_no_warning(judge: Judge) -> None:
    def spoil(good: dict[str, Any]) -> None:
        good["other"] = 1
        good["runtime"]["defaultProvider"] = "nobody"
        good["agents"][0]["tools"] = ["magic"]

    with pytest.raises(ConfigurationError) as caught:
        judge(spoil).usable()
    text = str(caught.value)
    assert "2 errors" in text
    assert "E009" in text
    assert "E020" in text
    assert "W001" not in text
    assert caught.value.exit_code == 2


def test_snake_case_keys_of_older_files_are_read_and_found(judge: Judge) -> None:
    def older(good: dict[str, Any]) -> None:
        good["runtime"]["default_provider"] = "nobody"
        del good["runtime"]["defaultProvider"]

    assert [f.path for f in judge(older).errors] == ["runtime.default_provider"]


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ({"timeZone": "Mars/Olympus"}, "a time zone's name such as UTC or Europe/Vienna"),
        ({"start": "17:00", "end": "09:00"}, "a start before the end"),
        ({"country": "XX"}, "a country by its code of ISO 3166"),
        ({"country": "AT", "subdivision": "ZZ"}, "one of the parts of AT"),
    ],
)
def test_business_hours_that_cannot_be_kept_are_told_with_what_was_expected(
    judge: Judge, hours: dict[str, str], expected: str
) -> None:
    (finding,) = judge(lambda whole: whole.update(response={"businessHours": hours})).findings
    assert finding.code is FindingCode.WRONG_VALUE
    assert str(finding.expected).startswith(expected)
