"""Reports of usage over many calls: the processor time of the page's reads, and of counting them after an upgrade.

python -m benchmarks.usage [--calls 1000000]
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.arguments import arguments
from orchestration.domain.usage import UsageGrouping
from orchestration.storage.budget_accounts import BudgetAccount
from orchestration.storage.budget_balances import BudgetBalances
from orchestration.storage.charge import PROJECT, Charge
from orchestration.storage.database import Database
from orchestration.storage.recorded_calls import RecordedCalls
from orchestration.storage.spend import Spend
from orchestration.storage.tables import spend
from orchestration.storage.usage_days import UsageDays, UsageSelection

_DAYS, _CLIENTS, _AGENTS, _BATCH, _REPEATED = 90, 40, 5, 20_000, 40
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Calls as a version before the sums has recorded them: of 40 clients and 5 agents with 6 models in 90 days."""
    chance = random.Random(20_260_301)
    whose = [f"client:token-{number}" for number in range(_CLIENTS)] + [f"agent-{number}" for number in range(_AGENTS)]
    for number in range(count):
        agent = chance.choice(whose)
        yield {
            "key": f"call-{number}",
            "run_id": None if agent.startswith("client:") else f"run-{number // 50}",
            "agent": agent,
            "provider": chance.choice(("azure", "openai")),
            "model": chance.choice(("small", "large", "huge")),
            "prompt_tokens": chance.randint(50, 9000),
            "completion_tokens": chance.randint(1, 900),
            "usd": chance.random() / 50,
            "at": _FIRST + timedelta(seconds=number * _DAYS * 86_400 / count),
        }


def fill(database: Database, count: int) -> None:
    """Record the calls."""
    batch: list[dict[str, Any]] = []
    for row in rows(count):
        batch.append(row)
        if len(batch) == _BATCH:
            _insert(database, batch)
            batch.clear()
    _insert(database, batch)


def milliseconds(work: Callable[[], Any], times: int = _REPEATED) -> tuple[float, float]:
    """The median and the 95th percentile of the processor time of some work."""
    taken = []
    for _ in range(times):
        begun = time.process_time()
        work()
        taken.append((time.process_time() - begun) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1] if times > 1 else taken[0]


def measure(database: Database) -> Iterator[tuple[str, tuple[float, float]]]:
    """Each figure, with its name."""
    days, calls, last = UsageDays(database), RecordedCalls(database), _FIRST + timedelta(days=_DAYS - 1)
    quarter = UsageSelection(_FIRST.date(), last.date())
    month = UsageSelection(last.date() - timedelta(days=29), last.date())
    client = UsageSelection(_FIRST.date(), last.date(), client="token-7")
    yield "count what an earlier version has recorded, once", milliseconds(lambda: days.report(quarter), 1)
    yield "the page, 30 days", milliseconds(lambda: (days.report(month, *UsageGrouping), days.total(month)))
    yield "the page, 90 days", milliseconds(lambda: (days.report(quarter, *UsageGrouping), days.total(quarter)))
    yield "the page of one client, 90 days", milliseconds(lambda: days.report(client, *UsageGrouping))
    yield "the newest 100 calls", milliseconds(lambda: calls.list(quarter, limit=100))
    yield "the newest 100 calls of one client", milliseconds(lambda: calls.list(client, limit=100))
    account = BudgetAccount(PROJECT, _FIRST, last + timedelta(days=1))
    balances = BudgetBalances(database)
    yield "open a budget of 90 days, once", milliseconds(lambda: balances.balances([account], last), 1)
    numbers = iter(range(10_000))

    def call() -> None:
        number = next(numbers)
        balances.reserve(f"hold-{number}", [account], last, lambda _: {})
        balances.settle(f"hold-{number}", [account], Charge(f"new-{number}", None, "a", "p", "m", 9, 9, 0.1, last))

    yield "a call under a budget: reserve and settle", milliseconds(call)
    charges = [Charge(f"more-{number}", None, "a", "p", "m", 9, 9, 0.1, last) for number in range(500)]
    yield "record 500 calls without a budget of their own", milliseconds(lambda: Spend(database).add_all(charges), 1)


def main() -> None:
    """Print the figures as a table."""
    parser = arguments(__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    count = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'usage.db'}")
        database.migrate()
        fill(database, count)
        print(f"{count:,} calls; processor time in ms: median, 95th percentile")
        for name, (median, high) in measure(database):
            print(f"| {name} | {median:,.1f} | {high:,.1f} |")
        database.close()


def _insert(database: Database, batch: list[dict[str, Any]]) -> None:
    if batch:
        with database.write() as connection:
            connection.execute(sa.insert(spend), batch)


if __name__ == "__main__":
    main()
