from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.config.credentials import EnvironmentCredentials, read_env_file
from orchestration.config.findings import FindingCode
from orchestration.config.schema import Configuration
from orchestration.config.secrets import names_a_secret

KEY = "a-key-with-enough-letters-1"


def env(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_values_are_taken_literally(tmp_path: Path) -> None:
    path = env(tmp_path, "# keys\nA=x$HOME${B}\nexport B='q # r'\nC=\"two\\nlines\"\nD=\n\nE=1=2\n")
    assert read_env_file(path) == ({"A": "x$HOME${B}", "B": "q # r", "C": "two\nlines", "D": "", "E": "1=2"}, ())


def test_a_missing_env_file_holds_nothing(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env") == ({}, ())


def test_a_line_that_cannot_be_read_is_told_with_its_number_and_the_others_count(tmp_path: Path) -> None:
    path = env(tmp_path, "A=1\nB='never closed\nC=3\n")
    values, (finding,) = read_env_file(path)
    assert values == {"A": "1", "C": "3"}
    assert (finding.code, finding.file, finding.line) == (FindingCode.BAD_ENV_LINE, str(path), 2)
    assert "never closed" not in str(finding)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_keys_that_others_on_the_machine_can_read_are_a_finding(tmp_path: Path, mode: int) -> None:
    path = env(tmp_path, "A=1\n")
    path.chmod(mode)
    values, (finding,) = read_env_file(path)
    assert (values, finding.code) == ({"A": "1"}, FindingCode.READABLE_ENV)
    assert f"chmod 600 {path}" in str(finding)
    path.write_text("A=\n")  # a template, with nothing in it yet
    assert read_env_file(path)[1] == ()


def test_an_env_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")
    assert [finding.code for finding in read_env_file(tmp_path / ".env")[1]] == [FindingCode.NOT_UTF8]


def test_the_environment_of_the_process_wins_over_the_file() -> None:
    credentials = EnvironmentCredentials({"A": "process", "C": ""}, {"A": "file", "B": "file", "C": "file", "D": ""})
    assert [credentials.get(name) for name in "ABCDE"] == ["process", "file", "file", None, None]
    assert credentials.names == {"A", "B", "C"}


def test_no_value_shows_in_the_representation() -> None:
    assert KEY not in repr(EnvironmentCredentials({"A_TOKEN": KEY}, {"B_TOKEN": KEY}))


def test_what_changed_is_told_by_name_only() -> None:
    before, after = (
        EnvironmentCredentials({}, {"A": "1", "B": "2"}),
        EnvironmentCredentials({}, {"A": "1", "B": "3", "C": "4"}),
    )
    assert after.changed_since(before) == ["B", "C"]


def test_secrets_are_known_by_name_by_form_and_by_what_the_configuration_names() -> None:
    configuration = Configuration.model_validate(
        {"runtime": {"databaseUrlEnv": "STATE", "own": {"type": "openai", "apiKeyEnv": "OWN"}}}
    )
    credentials = EnvironmentCredentials(
        {"GITHUB_TOKEN": "github-value", "PATH": "/usr/bin:/bin", "STATE": "postgresql://u:p@h/d"},
        {
            "OWN": "own-value",
            "UNNAMED": KEY,
            "OLLAMA_HOST": "http://localhost:11434",
            "LOG_LEVEL": "DEBUG",
            "DATA_FOLDER": "/srv/data/2026/agents",
            "QUEUE": "redis://me:queue-password@host/1",
        },
    )
    assert credentials.secrets(configuration) == {
        "github-value",
        "postgresql://u:p@h/d",
        "own-value",
        KEY,
        "queue-password",
    }


def test_a_stand_in_for_a_key_is_no_secret() -> None:
    assert EnvironmentCredentials({}, {"OPENAI_API_KEY": "ollama"}).secrets() == frozenset()


@pytest.mark.parametrize(
    "name",
    [
        "apiKey",
        "apikey",
        "API_KEY",
        "x-api-key",
        "GITHUB_TOKEN",
        "token",
        "password",
        "dbPassword",
        "clientSecret",
        "Authorization",
        "AWS_SECRET_ACCESS_KEY",
        "connectionString",
        "webhookUrl",
        "privateKey",
    ],
)
def test_names_of_secrets_are_recognised_in_every_style(name: str) -> None:
    assert names_a_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "apiKeyEnv",
        "tokenEnv",
        "tokens",
        "tokensPerMinute",
        "firstToken",
        "next_token",
        "key",
        "secretary",
        "id",
        "7",
    ],
)
def test_names_that_only_resemble_them_are_not(name: str) -> None:
    assert not names_a_secret(name)


def test_the_shells_current_folder_is_no_password() -> None:
    credentials = EnvironmentCredentials({"PWD": "/srv/project", "DB_PWD": "swordfish"}, {})
    assert credentials.secrets() == {"swordfish"}
