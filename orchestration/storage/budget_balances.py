"""What is used of budgets, and what is set aside for calls in progress, for all processes together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from orchestration.domain.budget import SpentAmount
from orchestration.storage.budget_accounts import LOCK, BudgetAccount, balances, open_accounts
from orchestration.storage.charge import Charge
from orchestration.storage.database import Database
from orchestration.storage.spend import add_charges
from orchestration.storage.tables import budget_marks, budget_reservations

# A process that dies leaves what it has set aside: for so long nobody else can use it. Longer than nearly all calls.
_EXPIRES = timedelta(minutes=15)
_NOTHING = SpentAmount()


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """What was used, and what is set aside for calls in progress."""

    used: SpentAmount = _NOTHING
    aside: SpentAmount = _NOTHING


Balances = Mapping[BudgetAccount, AccountBalance]


class BudgetBalances:
    """The accounts of budgets, and the reservations in them. Every method blocks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(
        self,
        identifier: str,
        accounts: Collection[BudgetAccount],
        now: datetime,
        decide: Callable[[Balances], Mapping[BudgetAccount, SpentAmount]],
    ) -> None:
        """Set aside what `decide` returns for the accounts as they are; what it raises is raised, and nothing is set
        aside. Nobody else can set anything aside in between: otherwise calls that start together would each fit, and
        together exceed the budget."""
        if not self._reserve(identifier, accounts, now, decide):
            with self._database.write(exclusive=LOCK) as connection:
                open_accounts(connection, accounts, now)
            self._reserve(identifier, accounts, now, decide)

    def settle(self, identifier: str, accounts: Collection[BudgetAccount], charge: Charge | None) -> Balances:
        """Replace what was set aside by the real cost, and return what is used now."""
        with self._database.write(exclusive=LOCK) as connection:
            connection.execute(sa.delete(budget_reservations).where(budget_reservations.c.id == identifier))
            if charge is not None:
                add_charges(connection, [charge])
            return {account: AccountBalance(used) for account, used in balances(connection, accounts).items()}

    def balances(self, accounts: Collection[BudgetAccount], now: datetime) -> Balances:
        """What was used, and what is set aside; accounts that do not exist yet are opened."""
        with self._database.write(exclusive=LOCK) as connection:
            open_accounts(connection, accounts, now)
            return _balances(connection, accounts, now)

    def mark(self, name: str, now: datetime) -> bool:
        """Note that something was done that is done once only; False if it was done before, by any process."""
        key = hashlib.sha256(name.encode()).hexdigest()
        with self._database.write(exclusive=LOCK) as connection:
            if connection.execute(sa.select(budget_marks.c.id).where(budget_marks.c.id == key)).first():
                return False
            connection.execute(sa.insert(budget_marks).values(id=key, at=now))
            return True

    def _reserve(
        self,
        identifier: str,
        accounts: Collection[BudgetAccount],
        now: datetime,
        decide: Callable[[Balances], Mapping[BudgetAccount, SpentAmount]],
    ) -> bool:
        """The same; False if an account does not exist yet."""
        with self._database.write(exclusive=LOCK) as connection:
            found = _balances(connection, accounts, now)
            if len(found) < len(set(accounts)):
                return False
            rows = [
                {
                    "id": identifier,
                    **{name: getattr(account, name) for name in ("subject", "starts_at", "ends_at")},
                    "tokens": amount.tokens,
                    "usd": amount.usd,
                    "expires_at": now + _EXPIRES,
                }
                for account, amount in decide(found).items()
            ]
            if rows:
                connection.execute(sa.insert(budget_reservations), rows)
            return True


def _balances(connection: sa.Connection, accounts: Collection[BudgetAccount], now: datetime) -> Balances:
    found = {account: AccountBalance(used) for account, used in balances(connection, accounts).items()}
    kept = budget_reservations.c
    subjects = sorted({account.subject for account in accounts})
    whose = (kept.subject, kept.starts_at, kept.ends_at)
    query = (
        sa.select(*whose, sa.func.sum(kept.tokens), sa.func.sum(kept.usd))
        .where(kept.subject.in_(subjects), kept.expires_at > now)
        .group_by(*whose)
    )
    for subject, starts_at, ends_at, tokens, usd in connection.execute(query):
        account = BudgetAccount(subject, starts_at, ends_at)
        if account in found:
            found[account] = replace(found[account], aside=SpentAmount(int(tokens), float(usd)))
    return found
