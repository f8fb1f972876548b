from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.security.permissions import (
    SECRET_NAMES,
    PermissionRefusedError,
    checked_command,
    checked_path,
    holds_secrets,
)


@pytest.mark.parametrize(
    "path", ["a.py", "./a.py", "src/a.py", " src//./a.py ", ".", "", ".gitignore", ".github/x.yml"]
)
def test_paths_of_the_project_pass(path: str) -> None:
    assert checked_path(path, writing=True) == PurePosixPath(os.path.normpath(path.strip() or "."))


@pytest.mark.parametrize(
    "path",
    ["..", "../x", "a/../../x", "a/..", "/etc/passwd", "//etc", " /etc", "a\0b", "\0", "x" * 5000, "a\ud800"],
)
def test_paths_that_lead_out_or_are_none_are_refused(path: str) -> None:
    with pytest.raises(PermissionRefusedError) as caught:
        checked_path(path, writing=False)
    assert caught.value.kind == "path"
    str(caught.value).encode()


@pytest.mark.parametrize("path", [".git", ".git/config", "a/.git/hooks/x", ".GIT/config", "sub/.Git"])
@pytest.mark.parametrize("writing", [True, False])
def test_what_is_gits_is_refused(path: str, writing: bool) -> None:
    with pytest.raises(PermissionRefusedError, match="belongs to git"):
        checked_path(path, writing=writing)


SECRETS = [".env", ".ENV", ".Env.local", "a/.env", ".env/x", "id_rsa", "x.PEM", "deploy.key", ".ssh/config", ".NetRC"]


@pytest.mark.parametrize("path", SECRETS)
def test_what_holds_secrets_by_its_name_is_refused(path: str) -> None:
    with pytest.raises(PermissionRefusedError, match="holds secrets"):
        checked_path(path, writing=False)


@pytest.mark.parametrize("name", [".env.example", ".env.SAMPLE", "environment.py", "key.py", "envoy", "monkey"])
def test_names_that_only_look_like_it_pass(name: str) -> None:
    assert not holds_secrets(name)


@given(st.one_of(st.text(max_size=20), st.sampled_from([".env", ".env.example", "a.pem", ".env.x", "id_rsa.pub"])))
def test_the_pattern_for_other_processes_says_the_same(name: str) -> None:
    assert holds_secrets(name) == bool(re.compile(SECRET_NAMES).match(name.lower()))


@given(st.text(alphabet=st.sampled_from("./ab\0é\ud800 ~-"), max_size=30), st.booleans())
def test_no_path_that_passes_leads_out(path: str, writing: bool) -> None:
    try:
        found = checked_path(path, writing=writing)
    except PermissionRefusedError:
        return
    assert not found.is_absolute()
    assert ".." not in found.parts
    assert os.path.normpath(PurePosixPath("/work") / found).startswith("/work")


ALLOWED = ("python3 -m pytest", "make test", 'sh -c "echo hi"')


@pytest.mark.parametrize(
    "command",
    [["python3", "-m", "pytest"], ["python3", "-m", "pytest", "-x"], ["make", "test"], ["sh", "-c", "echo hi"]],
)
def test_a_command_that_begins_like_an_allowed_one_passes(command: list[str]) -> None:
    assert checked_command(command, ALLOWED) == tuple(command)


@pytest.mark.parametrize(
    "command",
    [
        [],
        [""],
        ["make"],
        ["make", "test-all"],
        ["make test"],
        ["python3"],
        ["python3", "-m", "pytests"],
        ["rm", "-rf", "."],
    ],
)
def test_every_other_command_is_refused_by_name(command: list[str]) -> None:
    with pytest.raises(PermissionRefusedError) as caught:
        checked_command(command, ALLOWED)
    assert caught.value.kind == "command"


@pytest.mark.parametrize("word", ["a\0b", "a\ud800"])
def test_a_word_that_cannot_be_passed_on_is_refused(word: str) -> None:
    with pytest.raises(PermissionRefusedError, match="list of words") as caught:
        checked_command(["make", "test", word], ALLOWED)
    caught.value.what.encode()


def test_an_allowed_command_with_a_fault_in_it_allows_nothing() -> None:
    with pytest.raises(PermissionRefusedError, match="not one of the commands"):
        checked_command(["make", "test"], ['make "test'])


@given(st.lists(st.text(max_size=5), max_size=4))
def test_nothing_passes_that_does_not_begin_with_an_allowed_command(words: list[str]) -> None:
    try:
        checked_command(words, ["make test"])
    except PermissionRefusedError:
        assert words[:2] != ["make", "test"] or any("\0" in word for word in words)
    else:
        assert words[:2] == ["make", "test"]
