"""Amounts of money, in cents."""

from __future__ import annotations

from fractions import Fraction


def percent_of(amount: int, percent: int) -> Fraction:
    """So many per cent of an amount, exactly."""
    return Fraction(amount * percent, 100)


def rounded(amount: Fraction) -> int:
    """To whole cents, half a cent away from zero."""
    whole, rest = divmod(abs(amount), 1)
    cents = int(whole) + (rest >= Fraction(1, 2))
    return cents if amount >= 0 else -cents


def shown(amount: int) -> str:
    """As people write it, with two digits after the point."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02}"
