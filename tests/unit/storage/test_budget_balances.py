"""The ledger of budgets: what is set aside and charged by several processes at once, and what a new account knows."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.domain.budget import BudgetPeriod, SpentAmount, period_bounds
from orchestration.storage.budget_accounts import BudgetAccount
from orchestration.storage.budget_balances import AccountBalance, Balances, BudgetBalances
from orchestration.storage.charge import Charge
from orchestration.storage.database import Database
from orchestration.storage.spend import Spend
from tests.support.database import migrated

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
LIMIT = 10_000


def account(subject: str = "project", period: BudgetPeriod = BudgetPeriod.DAY, at: datetime = NOON) -> BudgetAccount:
    return BudgetAccount(subject, *period_bounds(period, at, "Europe/Vienna"))


def charge(key: str, tokens: int, at: datetime = NOON, **more: object) -> Charge:
    values = {"run_id": None, "agent": "client:t1", "provider": "a", "model": "x/y", "team": "red", **more}
    return Charge(key, prompt_tokens=tokens, completion_tokens=0, usd=0.25, at=at, **values)  # type: ignore[arg-type]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = migrated(database_url)
    yield database
    database.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables; making them takes longer than an example."""
    path = tmp_path_factory.mktemp("ledger") / "template.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


class NoRoomError(Exception):
    """The call does not fit."""


def decider(mine: BudgetAccount, tokens: int) -> object:
    def decide(balances: Balances) -> Mapping[BudgetAccount, SpentAmount]:
        balance = balances[mine]
        if (balance.used + balance.aside).tokens + tokens > LIMIT:
            raise NoRoomError
        return {mine: SpentAmount(tokens)}

    return decide


def test_calls_of_several_processes_together_stay_within_the_limit(database: Database) -> None:
    """Each thread has connections of its own, as a process has; each call uses exactly what it has set aside."""
    mine, admitted, refused = account(), [], []

    def work(number: int) -> None:
        chance, own = random.Random(number), Database(database.url)
        ledger = BudgetBalances(own)
        for index in range(25):
            tokens, name = chance.randint(1, 900), f"{number}-{index}"
            try:
                ledger.reserve(name, [mine], NOON, decider(mine, tokens))  # type: ignore[arg-type]
            except NoRoomError:
                refused.append(tokens)
                continue
            admitted.append(tokens)
            ledger.settle(name, [mine], charge(name, tokens) if chance.random() < 0.9 else None)
        own.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    balance = BudgetBalances(database).balances([mine], NOON)[mine]
    assert balance.used.tokens == Spend(database).totals()[0] <= LIMIT
    assert balance.aside == SpentAmount()
    assert len(admitted) + len(refused) == 100
    assert refused, "the limit was never reached: the test shows nothing"


def test_a_process_that_died_holds_its_reservation_for_a_while_only(database: Database) -> None:
    mine, ledger = account(), BudgetBalances(database)
    ledger.reserve("dead", [mine], NOON, decider(mine, LIMIT))  # type: ignore[arg-type]
    restarted = BudgetBalances(database)
    with pytest.raises(NoRoomError):
        restarted.reserve("next", [mine], NOON + timedelta(minutes=14), decider(mine, 1))  # type: ignore[arg-type]
    restarted.reserve("next", [mine], NOON + timedelta(minutes=16), decider(mine, 1))  # type: ignore[arg-type]


def test_what_is_done_once_is_done_by_one_process(database: Database) -> None:
    other = Database(database.url)
    ledgers = [BudgetBalances(database), BudgetBalances(other), BudgetBalances(database)]
    assert [one.mark("soft limit of March", NOON) for one in ledgers] == [True, False, False]
    assert ledgers[1].mark("soft limit of April", NOON)
    other.close()


SUBJECTS = (
    "project",
    "key:t1",
    "key:t2",
    "team:red",
    "agent:planner",
    "provider:a",
    "model:a/x/y",
    "model:x/y",
    "run:r",
)
CALLS = st.lists(
    st.tuples(
        st.integers(0, 500),
        st.sampled_from(["client:t1", "client:t2", "planner"]),
        st.sampled_from(["red", "blue", None]),
        st.sampled_from(["a", "b"]),
        st.sampled_from([None, "r", "s"]),
        # Around the change of the clocks in Vienna, and the ends of the day and the month.
        st.integers(-30, 90),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(CALLS, st.integers(0, 12), st.sampled_from([BudgetPeriod.DAY, BudgetPeriod.MONTH]))
def test_an_account_says_the_same_whenever_it_was_opened(
    template: Path, calls: list[tuple], opened_after: int, period: BudgetPeriod
) -> None:
    """One that was opened before the calls, one between them, and a sum by hand."""
    for file in template.parent.glob("copy*"):
        file.unlink()
    copy = template.parent / "copy.db"
    copy.write_bytes(template.read_bytes())
    database = Database(f"sqlite:///{copy}")
    ledger = BudgetBalances(database)
    accounts = [account(one, BudgetPeriod.RUN if one.startswith("run:") else period) for one in SUBJECTS]
    ledger.balances(accounts[::2], NOON)
    charges = [
        charge(f"{number}", tokens, NOON + timedelta(hours=hours), agent=agent, team=team, provider=where, run_id=run)
        for number, (tokens, agent, team, where, run, hours) in enumerate(calls)
    ]
    for number, one in enumerate([*charges, *charges[:3]]):
        if number == opened_after:
            ledger.balances(accounts, NOON)
        Spend(database).add(one)
    found = ledger.balances(accounts, NOON)
    database.close()
    for one in accounts:
        due = [each for each in charges if one.subject in each.subjects() and one.starts_at <= each.at < one.ends_at]
        used = SpentAmount(sum(each.amount.tokens for each in due), sum(each.amount.usd for each in due))
        assert found[one] == AccountBalance(used), one
