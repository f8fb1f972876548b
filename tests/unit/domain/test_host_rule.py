from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.domain.host_rule import permitting, read_rule


@pytest.mark.parametrize(
    ("rule", "host", "port"),
    [
        ("packages.example.org", "packages.example.org", 443),
        ("packages.example.org", "Packages.Example.org.", 80),
        ("*.example.net", "registry.example.net", 443),
        ("*.example.net", "a.b.example.net", 443),
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
        ("packages.example.org", "evilpackages.example.org", 443),
        ("packages.example.org", "packages.example.org.evil.example", 443),
        ("packages.example.org", "files.packages.example.org", 443),
        ("packages.example.org", "packages.example.org", 22),
        ("*.example.net", "example.net", 443),
        ("*.example.net", "evilexample.net", 443),
        ("git.example.org:8443", "git.example.org", 443),
    ],
)
def test_what_a_rule_does_not_permit(rule: str, host: str, port: int) -> None:
    assert permitting([read_rule(rule)], host, port) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "*.",
        "packages.example.org:0",
        "packages.example.org:65536",
        "http://packages.example.org",
        "packages.example.org/simple",
        "a*b.org",
        "-a.org",
    ],
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a host such as packages\.example\.org"):
        read_rule(text)


@given(st.text(max_size=80), st.integers(0, 70_000))
def test_no_other_name_passes(host: str, port: int) -> None:
    found = permitting([read_rule("packages.example.org"), read_rule("*.example.net")], host, port)
    name = host.rstrip(".").lower()
    assert (found is not None) == (
        port in (80, 443) and (name == "packages.example.org" or name.endswith(".example.net"))
    )
