"""Amounts of money, in whole cents."""

from decimal import Decimal


def percentage(cents: int, percent: Decimal) -> int:
    """A share of an amount, rounded to a whole cent."""
    return int(cents * percent / 100)


def display(cents: int) -> str:
    """An amount as people write it: `-0.05`, `12.30`."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}"
