"""When the money is due."""

from datetime import date, timedelta

SATURDAY = 5


def due_date(issued: date, days: int) -> date:
    """The day by which an invoice has to be paid; from a weekend it moves to the Monday after."""
    due = issued + timedelta(days=days)
    if due.weekday() >= SATURDAY:
        due += timedelta(days=1)
    return due
