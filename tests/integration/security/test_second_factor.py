"""The second factor below the pages: whose code is accepted, once, and who is locked out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from orchestration.clock import FakeClock
from orchestration.errors import ConflictError, UsageError
from orchestration.events import EventBus
from orchestration.security import one_time_codes, passwords
from orchestration.security.access import AccessControl
from orchestration.security.principal import Role
from orchestration.security.sealed_secret import SealError
from orchestration.security.second_factor import SecondFactors, SignInProof
from orchestration.security.sign_in import ExpiredSignInError, SignIn, SignInOrigin, SignInStepKind
from orchestration.security.sign_in_locks import LockedError, SignInError
from orchestration.storage.sign_in_challenges import SignInChallenges
from tests.support.database import migrated
from tests.support.one_time_codes import code_at

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
HERE = SignInOrigin("10.0.0.1")


class Entrance:
    """Everything that a sign-in takes, with a clock that only tests move, and keys and rules that they change."""

    def __init__(self, url: str) -> None:
        self.clock, self.key, self.required = FakeClock(NOON), "k" * 32, frozenset[Role]()
        self.database, self.bus = migrated(url), EventBus(self.clock)
        self.access = AccessControl(self.database, self.bus, self.clock, lambda: self.required)
        self.factors = SecondFactors(self.database, self.bus, self.clock, lambda: self.key)
        self.sign_in = SignIn(self.access, self.factors, SignInChallenges(self.database), self.bus, self.clock)
        self.access.add_user("ada", Role.ADMIN, PASSWORD, actor="t")

    def enrolled(self) -> tuple[str, tuple[str, ...]]:
        """The secret and the recovery codes of ada; half a minute later, so that the next code is a new one."""
        step = self.sign_in.begin_enrolment("ada", PASSWORD, HERE)
        secret = self.sign_in.enrolment(step.secret, "tests").secret
        _, codes = self.sign_in.enrol(step.secret, self.code(secret), "10.0.0.1")
        return secret, codes

    def code(self, secret: str, steps: int = 0) -> str:
        return code_at(secret, self.clock.now().timestamp() + 30 * steps)

    def challenge(self, origin: SignInOrigin = HERE) -> str:
        step = self.sign_in.sign_in("ada", PASSWORD, origin)
        assert step.kind is SignInStepKind.CODE
        return step.secret


@pytest.fixture
def entrance(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Entrance]:
    monkeypatch.setattr(passwords, "_N", 2)  # what is tested here is not how long a password takes
    found = Entrance(database_url)
    yield found
    found.database.close()


# RFC 6238, appendix B, for SHA-1; its eight digits cut to the six that are usual.
@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # the standard's `12345678901234567890` in base32
    moment = datetime.fromtimestamp(seconds, UTC)
    assert one_time_codes.matching_step(secret, code, moment, after=0) == seconds // 30
    assert one_time_codes.matching_step(secret, code, moment, after=seconds // 30) is None, "used before"
    for apart in (-2, 2):
        later = datetime.fromtimestamp(seconds + 30 * apart, UTC) if seconds > 60 else moment
        assert seconds <= 60 or one_time_codes.matching_step(secret, code, later, after=0) is None


@pytest.mark.parametrize("text", ["", "12345", "1234567", "١٢٣٤٥٦", "12345a", "-12345", "1" * 5000, "\x00" * 6])
def test_what_is_no_code_is_refused_without_an_error(text: str) -> None:
    assert one_time_codes.matching_step("GEZDGNBVGY3TQOJQ", text, NOON, after=0) is None
    assert one_time_codes.plain_recovery_code(text) == ""


def test_a_code_is_accepted_once_however_many_bring_it_at_the_same_time(entrance: Entrance) -> None:
    secret, codes = entrance.enrolled()
    for text, proof in ((entrance.code(secret, 1), SignInProof.CODE), (codes[0], SignInProof.RECOVERY_CODE)):
        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(lambda _, text=text: entrance.factors.accept("ada", text), range(16)))
        assert sorted(map(str, results)) == sorted([str(proof), *["None"] * 15])


def test_one_browser_that_sends_a_code_twice_gets_one_session(entrance: Entrance) -> None:
    secret, codes = entrance.enrolled()
    challenge = entrance.challenge()

    def confirm(code: str) -> bool:
        try:
            return entrance.sign_in.confirm(challenge, code, "10.0.0.1").kind is SignInStepKind.SESSION
        except SignInError:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(confirm, [entrance.code(secret, 1), *codes[:3]])).count(True) == 1


def test_the_code_that_confirmed_the_set_up_signs_nobody_in(entrance: Entrance) -> None:
    secret, _ = entrance.enrolled()
    with pytest.raises(SignInError, match="used before"):
        entrance.sign_in.confirm(entrance.challenge(), entrance.code(secret), "10.0.0.1")


async def test_a_sign_in_waits_five_minutes_for_its_code_and_takes_five_wrong_ones(entrance: Entrance) -> None:
    secret, codes = entrance.enrolled()
    challenge = entrance.challenge()
    await entrance.clock.advance(301)
    with pytest.raises(ExpiredSignInError):
        entrance.sign_in.confirm(challenge, entrance.code(secret), "10.0.0.1")
    known = SignInOrigin("10.0.0.1", device="a browser of hers")
    challenge = entrance.challenge(known)
    for _ in range(5):
        with pytest.raises(SignInError, match="wrong"):
            entrance.sign_in.confirm(challenge, "000000", "10.0.0.1")
    with pytest.raises(ExpiredSignInError):
        entrance.sign_in.confirm(challenge, codes[0], "10.0.0.1")


def test_the_right_password_in_between_does_not_give_more_guesses(entrance: Entrance) -> None:
    entrance.enrolled()
    for _ in range(5):
        with pytest.raises(SignInError, match="wrong"):
            entrance.sign_in.confirm(entrance.challenge(), "000000", "10.0.0.1")
    with pytest.raises(LockedError):
        entrance.challenge()


def test_guesses_from_many_places_lock_strangers_out_and_not_a_browser_that_is_known(entrance: Entrance) -> None:
    secret, codes = entrance.enrolled()
    for number in range(10):
        with pytest.raises(SignInError, match="wrong"):
            entrance.sign_in.confirm(entrance.challenge(SignInOrigin(f"10.0.1.{number}")), "000000", "x")
    with pytest.raises(LockedError):
        entrance.sign_in.confirm(entrance.challenge(SignInOrigin("10.0.2.1")), codes[0], "x")
    known = entrance.challenge(SignInOrigin("10.0.2.1", device="a browser of hers"))
    assert entrance.sign_in.confirm(known, entrance.code(secret, 1), "x").kind is SignInStepKind.SESSION


def test_who_has_to_have_one_gets_no_session_without_and_keeps_none(entrance: Entrance) -> None:
    before = entrance.sign_in.sign_in("ada", PASSWORD, HERE)
    assert entrance.access.of_session(before.secret) is not None
    entrance.required = frozenset({Role.ADMIN})
    assert entrance.access.of_session(before.secret) is None, "by a password alone"
    step = entrance.sign_in.sign_in("ada", PASSWORD, HERE)
    assert step.kind is SignInStepKind.ENROLMENT
    assert entrance.access.of_session(step.secret) is None
    secret = entrance.sign_in.enrolment(step.secret, "tests").secret
    done, _ = entrance.sign_in.enrol(step.secret, entrance.code(secret), "10.0.0.1")
    assert entrance.access.of_session(done.secret) is not None
    entrance.access.add_user("ben", Role.VIEWER, PASSWORD, actor="t")
    assert entrance.sign_in.sign_in("ben", PASSWORD, HERE).kind is SignInStepKind.SESSION


def test_a_reset_ends_sessions_and_sign_ins_that_have_begun(entrance: Entrance) -> None:
    secret, codes = entrance.enrolled()
    begun = entrance.challenge()
    session = entrance.sign_in.confirm(entrance.challenge(), entrance.code(secret, 1), "x").secret
    entrance.factors.remove("ada", actor="t")
    assert entrance.access.of_session(session) is None
    for code in (entrance.code(secret, 1), codes[0]):
        with pytest.raises(ExpiredSignInError):
            entrance.sign_in.confirm(begun, code, "x")
    with pytest.raises(ConflictError):
        entrance.factors.remove("ada", actor="t")


def test_two_enrolments_at_once_leave_one_second_factor(entrance: Entrance) -> None:
    steps = [entrance.sign_in.begin_enrolment("ada", PASSWORD, HERE) for _ in range(4)]
    secrets = [entrance.sign_in.enrolment(step.secret, "tests").secret for step in steps]

    def enrol(number: int) -> bool:
        try:
            entrance.sign_in.enrol(steps[number].secret, entrance.code(secrets[number]), "x")
        except (ConflictError, ExpiredSignInError):
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(enrol, range(4))).count(True) == 1


def test_the_database_holds_no_secret_and_another_key_opens_nothing(entrance: Entrance) -> None:
    secret, codes = entrance.enrolled()
    factor = entrance.factors.table.find("ada")
    assert factor is not None
    assert secret not in factor.secret
    entrance.key = "another key of thirty-two letters"
    with pytest.raises(SealError, match="recovery code"):
        entrance.factors.accept("ada", entrance.code(secret, 1))
    assert entrance.factors.accept("ada", codes[0]) is SignInProof.RECOVERY_CODE
    entrance.key = ""
    with pytest.raises(UsageError, match="secondFactorKeyEnv"):
        entrance.factors.new_secret("ada")


def test_new_recovery_codes_void_the_earlier_ones(entrance: Entrance) -> None:
    secret, codes = entrance.enrolled()
    fresh = entrance.sign_in.renew_recovery_codes("ada", PASSWORD, entrance.code(secret, 1), HERE)
    assert not set(codes) & set(fresh)
    assert entrance.factors.accept("ada", codes[0]) is None
    assert entrance.factors.accept("ada", fresh[0].upper().replace("-", " ").replace("ORCREC ", "")) is not None
    with pytest.raises(SignInError):
        entrance.sign_in.remove_second_factor("ada", "a wrong password", fresh[1], HERE)
    with pytest.raises(SignInError):
        entrance.sign_in.remove_second_factor("ada", PASSWORD, "000000", HERE)
    assert entrance.factors.has_one("ada")
