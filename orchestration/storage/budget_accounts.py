"""Accounts of budgets: what one of them has used in one of its periods.

Whoever records a charge adds it to the accounts that exist, and a new account begins with what was used before it was
opened. Both hold one lock, so nothing is counted twice or left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from orchestration.domain.budget import SpentAmount
from orchestration.storage.charge import CLIENT_PREFIX, PROJECT, Charge
from orchestration.storage.tables import budget_accounts, spend

LOCK = "spend"
"""Held by a transaction that records charges or opens accounts."""
# An account can be opened again at any time, from the charges.
_KEPT = timedelta(days=100)


@dataclass(frozen=True, slots=True)
class BudgetAccount:
    """Whose usage is counted (`storage.charge` has the names), in which time; the end is no part of it."""

    subject: str
    starts_at: datetime
    ends_at: datetime


def count(connection: sa.Connection, charges: Iterable[Charge]) -> None:
    """Add charges to the accounts that they concern."""
    if connection.execute(sa.select(budget_accounts.c.subject).limit(1)).first() is None:
        return
    for charge in charges:
        amount = charge.amount
        if amount == SpentAmount():
            continue
        its = budget_accounts.c.subject.in_(list(charge.subjects()))
        during = (budget_accounts.c.starts_at <= charge.at) & (charge.at < budget_accounts.c.ends_at)
        more = {"tokens": budget_accounts.c.tokens + amount.tokens, "usd": budget_accounts.c.usd + amount.usd}
        connection.execute(sa.update(budget_accounts).where(its, during).values(**more))


def open_accounts(connection: sa.Connection, accounts: Collection[BudgetAccount], now: datetime) -> None:
    """Open those of the accounts that do not exist yet, with what was used so far in their time."""
    known = set(balances(connection, accounts))
    for account in accounts:
        if account not in known:
            used = _used(connection, account)
            names = {name: getattr(account, name) for name in ("subject", "starts_at", "ends_at")}
            connection.execute(
                sa.insert(budget_accounts).values(**names, tokens=used.tokens, usd=used.usd, opened_at=now)
            )
    connection.execute(sa.delete(budget_accounts).where(budget_accounts.c.opened_at < now - _KEPT))


def balances(connection: sa.Connection, accounts: Collection[BudgetAccount]) -> dict[BudgetAccount, SpentAmount]:
    """What was used of each account that exists."""
    subjects = sorted({account.subject for account in accounts})
    rows = connection.execute(sa.select(budget_accounts).where(budget_accounts.c.subject.in_(subjects)))
    found = {
        BudgetAccount(row.subject, row.starts_at, row.ends_at): SpentAmount(int(row.tokens), float(row.usd))
        for row in rows
    }
    return {account: found[account] for account in accounts if account in found}


def _used(connection: sa.Connection, account: BudgetAccount) -> SpentAmount:
    tokens = sa.func.coalesce(sa.func.sum(spend.c.prompt_tokens + spend.c.completion_tokens), 0)
    query = sa.select(tokens, sa.func.coalesce(sa.func.sum(spend.c.usd), 0.0)).where(_is_of(account.subject))
    if not account.subject.startswith("run:"):
        query = query.where(spend.c.at >= account.starts_at, spend.c.at < account.ends_at)
    row = connection.execute(query).one()
    return SpentAmount(int(row[0]), float(row[1]))


def _is_of(subject: str) -> sa.ColumnElement[bool]:
    """Which charges are of a subject: the same as `Charge.subjects` says."""
    if subject == PROJECT:
        return sa.true()
    kind, _, name = subject.partition(":")
    match kind:
        case "key":
            return spend.c.agent == CLIENT_PREFIX + name
        case "run":
            run_id, _, agent = name.partition("/")
            return (spend.c.run_id == run_id) & (spend.c.agent == agent) if agent else spend.c.run_id == run_id
        case "model":
            provider, _, model = name.partition("/")
            # A model's own name may hold slashes.
            return (spend.c.model == name) | ((spend.c.provider == provider) & (spend.c.model == model))
        case _:
            return spend.c[kind] == name
