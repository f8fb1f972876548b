"""Passwords, locks, and who may be the last admin."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.clock import FakeClock
from orchestration.errors import ConflictError, UsageError
from orchestration.events import Event, EventBus
from orchestration.security import passwords
from orchestration.security.access import _NAME, AccessControl
from orchestration.security.principal import Role
from orchestration.security.second_factor import SecondFactors
from orchestration.security.sign_in import SignIn, SignInOrigin
from orchestration.security.sign_in_locks import LockedError, SignInError, locked_for
from orchestration.storage.access import TokenRow
from orchestration.storage.database import Database
from orchestration.storage.sign_in_challenges import SignInChallenges
from tests.support.database import migrated

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def access(database_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[AccessControl]:
    monkeypatch.setattr(passwords, "_N", 2)  # what is tested here is not how long a password takes
    database = migrated(database_url)
    yield AccessControl(database, EventBus(clock), clock)
    database.close()


def sign_in(access: AccessControl, name: str, password: str) -> str:
    """The session of somebody without a second factor."""
    database, bus, clock = access.table._database, access._bus, access._clock
    factors = SecondFactors(database, bus, clock, lambda: None)
    doors = SignIn(access, factors, SignInChallenges(database), bus, clock)
    return doors.sign_in(name, password, SignInOrigin("10.0.0.1")).secret


def test_a_password_is_kept_so_that_only_it_matches() -> None:
    kept = passwords.digest(PASSWORD)
    assert kept.startswith("scrypt$16384$8$5$")
    assert passwords.matches(PASSWORD, kept)
    assert not passwords.matches(PASSWORD + " ", kept)
    assert passwords.digest(PASSWORD) != kept, "each with a salt of its own"
    assert PASSWORD not in kept


def test_for_nobody_no_password_matches() -> None:
    assert not passwords.matches("", passwords.NOBODY)


@pytest.mark.parametrize("password", ["", "elevenchars", "x" * 257, "aaaaaaaaaaaaaaaa"])
def test_a_password_that_is_none_is_refused_without_being_repeated(password: str) -> None:
    with pytest.raises(UsageError) as caught:
        passwords.checked(password)
    assert not password or password not in str(caught.value)


TIMES = st.lists(st.tuples(st.sampled_from(["ada", "ben"]), st.integers(0, 899)), max_size=40)


@given(TIMES)
def test_a_lock_is_on_exactly_while_there_were_too_many(tried: list[tuple[str, int]]) -> None:
    failures = [(user, NOON - timedelta(seconds=ago)) for user, ago in sorted(tried, key=lambda one: -one[1])]
    wait = locked_for(failures, "ada", NOON)
    mine = [user for user, _ in tried if user == "ada"]
    assert (wait > 0) == (len(mine) >= 5 or len(tried) >= 25)
    assert wait <= 15 * 60
    later = NOON + timedelta(seconds=wait)
    still = [one for one in failures if one[1] > later - timedelta(minutes=15)]
    assert not wait or locked_for(still, "ada", later) == 0


async def test_a_lock_ends_by_itself(access: AccessControl, clock: FakeClock) -> None:
    access.add_user("ada", Role.ADMIN, PASSWORD, actor="t")
    for _ in range(5):
        with pytest.raises(SignInError):
            sign_in(access, "ada", "wrong")
    with pytest.raises(LockedError):
        sign_in(access, "ada", PASSWORD)
    await clock.advance(15 * 60)
    assert sign_in(access, "ada", PASSWORD)


def test_a_source_that_tries_many_names_is_locked_out_of_all(access: AccessControl) -> None:
    for number in range(25):
        access.locks.note_failure(f"name-{number}", "10.0.0.1", "wrong")
    with pytest.raises(LockedError):
        sign_in(access, "another", PASSWORD)


async def test_a_session_ends_when_it_is_not_used_and_at_the_latest_after_a_week(
    access: AccessControl, clock: FakeClock
) -> None:
    access.add_user("ada", Role.ADMIN, PASSWORD, actor="t")
    session = sign_in(access, "ada", PASSWORD)
    for _ in range(16):
        await clock.advance(10 * 3600)
        assert access.of_session(session) is not None
    await clock.advance(10 * 3600)
    assert access.of_session(session) is None, "a week is over"
    idle = sign_in(access, "ada", PASSWORD)
    await clock.advance(12 * 3600)
    assert access.of_session(idle) is None


async def test_a_token_ends_at_its_time(access: AccessControl, clock: FakeClock) -> None:
    ends = clock.now() + timedelta(hours=1)
    secret, _ = access.add_token("ci", Role.VIEWER, actor="t", expires_at=ends)
    assert access.of_token(secret, "10.0.0.1").principal.name == "ci"
    await clock.advance(3600)
    with pytest.raises(SignInError):
        access.of_token(secret, "10.0.0.1")


def test_who_uses_a_revoked_token_is_reported(access: AccessControl) -> None:
    told: list[Event] = []
    access._bus.subscribe(told.append)
    secret, token = access.add_token("ci", Role.VIEWER, actor="t")
    access.revoke_token(token.id, actor="t")
    for guess in (secret, "orc_guess"):
        with pytest.raises(SignInError):
            access.of_token(guess, "10.0.0.1")
    [used] = [one for one in told if one.kind == "token.used_after_revocation"]
    assert used.payload.sentence() == "10.0.0.1 used the revoked token ci"


async def test_a_token_that_was_just_confirmed_is_known_without_the_database(
    access: AccessControl, clock: FakeClock
) -> None:
    ends = clock.now() + timedelta(seconds=1.5)
    secret, _ = access.add_token("ci", Role.VIEWER, actor="t", expires_at=ends)
    assert access.recent_token(secret) is None, "nobody has asked the database"
    entered = access.known_token(secret)
    assert entered is not None
    assert access.recent_token(secret) == entered
    assert access.recent_token("orc_guess") is None
    await clock.advance(1)
    assert access.recent_token(secret) is None, "another process may have revoked it"
    assert access.known_token(secret) == entered
    await clock.advance(0.5)
    assert access.recent_token(secret) is None, "it has expired"


async def test_a_token_that_another_process_revokes_is_let_in_for_a_second_at_most(
    access: AccessControl, clock: FakeClock, database_url: str
) -> None:
    secret, token = access.add_token("ci", Role.VIEWER, actor="t")
    assert access.known_token(secret)
    database = Database(database_url)
    AccessControl(database, EventBus(clock), clock).revoke_token(token.id, actor="t")
    database.close()
    await clock.advance(1)
    assert (access.recent_token(secret), access.known_token(secret)) == (None, None)


def test_a_token_that_is_revoked_here_is_forgotten_at_once_also_if_it_was_just_being_looked_up(
    access: AccessControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, token = access.add_token("ci", Role.VIEWER, actor="t")
    find = access.table.find_token_by_digest

    def find_slowly(digest: str) -> TokenRow | None:
        found = find(digest)
        access.revoke_token(token.id, actor="t")
        return found

    access.known_token(secret)
    monkeypatch.setattr(access.table, "find_token_by_digest", find_slowly)
    assert access.known_token(secret), "it was in force when the database was asked"
    assert access.recent_token(secret) is None


def test_a_good_token_is_let_in_however_many_bad_ones_came_from_there(access: AccessControl) -> None:
    secret, _ = access.add_token("ci", Role.VIEWER, actor="t")
    for _ in range(5):
        with pytest.raises(SignInError):
            access.of_token("orc_guess", "10.0.0.1")
    with pytest.raises(LockedError):
        access.of_token("orc_guess", "10.0.0.1")
    assert access.of_token(secret, "10.0.0.1")


def test_the_last_admin_stays(access: AccessControl) -> None:
    access.add_user("only", Role.ADMIN, PASSWORD, actor="t")
    access.add_user("other", Role.OPERATOR, PASSWORD, actor="t")
    for change in ({"disabled": True}, {"role": Role.VIEWER}):
        with pytest.raises(ConflictError, match="is the last enabled admin"):
            access.change_user("only", actor="t", **change)  # type: ignore[arg-type]
    access.change_user("other", actor="t", role=Role.ADMIN)
    assert access.change_user("only", actor="t", disabled=True).disabled_at is not None


def test_of_requests_with_the_same_key_at_once_one_is_carried_out(access: AccessControl) -> None:
    with ThreadPoolExecutor(8) as threads:
        claimed = list(
            threads.map(lambda _: access.table.claim_key("key", "request", NOON, NOON - timedelta(days=1)), range(16))
        )
    assert claimed.count(None) == 1
    access.table.save_response("key", 200, "{}")
    kept = access.table.claim_key("key", "request", NOON, NOON - timedelta(days=1))
    assert kept is not None
    assert (kept.status, kept.body) == (200, "{}")
    after_a_day = NOON + timedelta(days=2)
    assert access.table.claim_key("key", "request", after_a_day, after_a_day - timedelta(days=1)) is None


def test_a_first_user_is_made_once_however_many_try(access: AccessControl) -> None:
    key = access.new_setup_key()

    def set_up(number: int) -> bool:
        try:
            access.set_up(key, f"user-{number}", PASSWORD)
        except (ConflictError, SignInError):
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(set_up, range(8))).count(True) == 1
    assert len(access.table.list_users()) == 1


@pytest.mark.parametrize("name", ["", " ", "-x", "a b", "ä", "a" * 65, "x\n"])
def test_a_name_is_plain(name: str) -> None:
    assert not _NAME.fullmatch(name)


def test_a_scope_that_is_not_there_is_refused(access: AccessControl) -> None:
    with pytest.raises(UsageError, match="expected scopes among"):
        access.add_token("ci", Role.VIEWER, actor="t", scopes=["everything"])
    with pytest.raises(UsageError, match="expected a name"):
        access.add_user("a b", Role.VIEWER, PASSWORD, actor="t")
