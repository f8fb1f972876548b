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
    by_subject: dict[str, list[Charge]] = {}
    for charge in charges:
        if charge.amount != SpentAmount():
            for subject in charge.subjects():
                by_subject.setdefault(subject, []).append(charge)
    for account in _accounts_of(connection, by_subject):
        its = [one.amount for one in by_subject[account.subject] if account.starts_at <= one.at < account.ends_at]
        if its:
            total = sum(its, SpentAmount())
            more = {"tokens": budget_accounts.c.tokens + total.tokens, "usd": budget_accounts.c.usd + total.usd}
            connection.execute(sa.update(budget_accounts).where(_is(account)).values(**more))


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
    found = _accounts_of(connection, {account.subject for account in accounts})
    return {account: found[account] for account in accounts if account in found}


def _accounts_of(connection: sa.Connection, subjects: Iterable[str]) -> dict[BudgetAccount, SpentAmount]:
    """The accounts of some subjects, of whatever time, with what was used."""
    rows = connection.execute(sa.select(budget_accounts).where(budget_accounts.c.subject.in_(sorted(subjects))))
    return {
        BudgetAccount(row.subject, row.starts_at, row.ends_at): SpentAmount(int(row.tokens), float(row.usd))
        for row in rows
    }


def _is(account: BudgetAccount) -> sa.ColumnElement[bool]:
    columns = budget_accounts.c
    return sa.and_(
        columns.subject == account.subject,
        columns.starts_at == account.starts_at,
        columns.ends_at == account.ends_at,
    )


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
