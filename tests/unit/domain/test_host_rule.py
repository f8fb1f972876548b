from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.domain.host_rule import permitting, read_rule


@pytest.mark.parametrize(
    ("rule", "host", "port"),
    [
        ("pypi.org", "pypi.org", 443),
        ("pypi.org", "PyPI.org.", 80),
        ("*.npmjs.org", "registry.npmjs.org", 443),
        ("*.npmjs.org", "a.b.npmjs.org", 443),
        ("git.example.org:8443", "git.example.org", 8443),
        ("*.example.org:22", "git.example.org", 22),
        ("10.0.0.7", "10.0.0.7", 443),
    ],
)
def test_what_a_rule_permits(rule: str, host: str, port: int) -> None:
    assert permitting([read_rule(rule)], host, port) is not None


@pytest.mark.parametrize(
    ("rule", "host", "port"),
    [
        ("pypi.org", "evilpypi.org", 443),
        ("pypi.org", "pypi.org.evil.example", 443),
        ("pypi.org", "files.pypi.org", 443),
        ("pypi.org", "pypi.org", 22),
        ("*.npmjs.org", "npmjs.org", 443),
        ("*.npmjs.org", "evilnpmjs.org", 443),
        ("git.example.org:8443", "git.example.org", 443),
    ],
)
def test_what_a_rule_does_not_permit(rule: str, host: str, port: int) -> None:
    assert permitting([read_rule(rule)], host, port) is None


@pytest.mark.parametrize(
    "text", ["", "*", "*.", "pypi.org:0", "pypi.org:65536", "http://pypi.org", "pypi.org/simple", "a*b.org", "-a.org"]
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a host such as pypi\.org"):
        read_rule(text)


@given(st.text(max_size=80), st.integers(0, 70_000))
def test_no_other_name_passes(host: str, port: int) -> None:
    found = permitting([read_rule("pypi.org"), read_rule("*.npmjs.org")], host, port)
    name = host.rstrip(".").lower()
    assert (found is not None) == (port in (80, 443) and (name == "pypi.org" or name.endswith(".npmjs.org")))
