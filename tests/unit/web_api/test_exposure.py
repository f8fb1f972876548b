"""Where the server may listen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration.errors import UsageError
from orchestration.web.exposure import Exposure, checked_proxies


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {"certificate": tmp_path / "certificate.pem", "key": tmp_path / "key.pem"}
    for file in made.values():
        file.touch()
    return made


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_alone_needs_nothing_else(host: str) -> None:
    assert Exposure(host).sign_in
    assert not Exposure(host, sign_in=False).sign_in


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "orchestrator.example"])
@pytest.mark.parametrize(
    "given", [{}, {"sign_in": False}, {"sign_in": False, "proxies": ("10.0.0.1",)}, {"names": ("a.example",)}]
)
def test_others_come_in_only_with_sign_in_and_tls(host: str, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"TLS is required|loopback address only"):
        Exposure(host, **given)


def test_tls_may_be_ours_or_that_of_a_named_proxy(files: dict[str, Path]) -> None:
    assert Exposure("192.168.1.5", **files).url == "https://192.168.1.5:8642"
    assert Exposure("192.168.1.5", proxies=("10.0.0.1",)).sign_in


def test_an_address_that_stands_for_all_needs_the_name_by_which_it_is_reached(files: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="--name"):
        Exposure("0.0.0.0", **files)
    assert Exposure("0.0.0.0", names=("o.example",), **files).url == "https://o.example:8642"


def test_without_sign_in_no_proxy_lets_others_reach_the_loopback_address() -> None:
    with pytest.raises(UsageError, match="behind a proxy"):
        Exposure("127.0.0.1", sign_in=False, proxies=("127.0.0.1",))


def test_certificate_and_key_come_together_and_are_there(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="belong together"):
        Exposure(certificate=files["certificate"])
    with pytest.raises(UsageError, match="There is no file"):
        Exposure(certificate=files["certificate"], key=tmp_path / "none.pem")


@pytest.mark.parametrize("host", ["localhost", "localhost:8642", "127.0.0.1:80", "[::1]:8642", "LOCALHOST."])
def test_this_machine_has_its_usual_names(host: str) -> None:
    assert Exposure().answers_to(host)


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1"])
def test_a_name_that_is_not_ours_is_refused(host: str) -> None:
    assert not Exposure().answers_to(host)


def test_names_that_are_given_are_ours_as_well(files: dict[str, Path]) -> None:
    exposure = Exposure("0.0.0.0", names=("O.example", "b.example"), **files)
    assert exposure.answers_to("o.EXAMPLE:8642")
    assert exposure.answers_to("b.example")
    assert not exposure.answers_to("localhost")


def test_a_proxy_is_an_address() -> None:
    assert checked_proxies(["10.0.0.1", "10.1.0.0/16", "::1"]) == ("10.0.0.1", "10.1.0.0/16", "::1")
    with pytest.raises(UsageError, match="expected a proxy's address"):
        checked_proxies(["proxy.example"])
