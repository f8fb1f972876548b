"""Orders, their lines and their totals. Amounts are whole cents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from shop.money import percent_of, rounded


@dataclass(frozen=True)
class Line:
    """One line of an order: what, how many, and the price of one."""

    article: str
    quantity: int
    price: int

    @property
    def total(self) -> int:
        """The price of all of them."""
        return self.quantity * self.price


@dataclass
class Order:
    """An order of one customer."""

    customer: str
    lines: list[Line] = field(default_factory=list)
    discount: int = 0

    def add(self, line: Line) -> None:
        """Add a line, or raise its quantity if the article is there at the same price."""
        for place, there in enumerate(self.lines):
            if there.article == line.article and there.price == line.price:
                self.lines[place] = Line(there.article, there.quantity + line.quantity, there.price)
                return
        self.lines.append(line)

    @property
    def subtotal(self) -> int:
        """Before the discount."""
        return sum(line.total for line in self.lines)

    def total(self) -> int:
        """After the discount, in per cent."""
        return self.subtotal - rounded(percent_of(self.subtotal, self.discount))


def parse_line(text: str) -> Line:
    """A line as `article;quantity;price`. Raises ValueError for anything else."""
    parts = [part.strip() for part in text.split(";")]
    if len(parts) != 3 or not parts[0]:
        raise ValueError(f"expected article;quantity;price, got {text!r}")
    quantity, price = int(parts[1]), int(parts[2])
    if quantity < 1 or price < 0:
        raise ValueError(f"expected a quantity of 1 or more and a price of 0 or more, got {text!r}")
    return Line(parts[0], quantity, price)


def pages(orders: Sequence[Order], size: int) -> list[Sequence[Order]]:
    """The orders in pages of a size; the last one may be shorter."""
    return [orders[start : start + size] for start in range(0, len(orders), size)]


def by_customer(orders: Iterable[Order]) -> dict[str, list[Order]]:
    """The orders of each customer, customers in the order of their names."""
    found: dict[str, list[Order]] = {}
    for order in orders:
        found.setdefault(order.customer, []).append(order)
    return dict(sorted(found.items()))


def best_customers(orders: Iterable[Order], count: int) -> list[tuple[str, int]]:
    """Who ordered for most, with the sums; equal sums by name."""
    sums = {name: sum(order.total() for order in theirs) for name, theirs in by_customer(orders).items()}
    return sorted(sums.items(), key=lambda item: (-item[1], item[0]))[:count]
