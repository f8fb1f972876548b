"""What a customer has to pay, and until when."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tallybook.money import display, percentage
from tallybook.terms import due_date


@dataclass(frozen=True)
class Line:
    """Some pieces of one thing; `cents` is the price of a piece."""

    text: str
    pieces: int
    cents: int


@dataclass(frozen=True)
class Invoice:
    """Lines, a tax rate, and the number of days that the customer has to pay."""

    issued: date
    lines: tuple[Line, ...]
    vat_percent: Decimal
    days: int

    @property
    def net(self) -> int:
        return sum(line.pieces * line.cents for line in self.lines)

    @property
    def vat(self) -> int:
        return percentage(self.net, self.vat_percent)

    @property
    def total(self) -> int:
        return self.net + self.vat

    @property
    def due(self) -> date:
        return due_date(self.issued, self.days)

    def summary(self) -> str:
        """One line for the customer."""
        return f"{display(self.total)} (tax {display(self.vat)}) due {self.due.isoformat()}"
