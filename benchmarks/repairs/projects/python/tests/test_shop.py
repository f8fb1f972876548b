from __future__ import annotations

import unittest
import zlib
from fractions import Fraction

from shop.crc import TABLE, crc32
from shop.money import percent_of, rounded, shown
from shop.orders import Line, Order, best_customers, by_customer, pages, parse_line


class Orders(unittest.TestCase):
    def test_lines_of_one_article_and_price_are_added_up(self) -> None:
        order = Order("a", [Line("pen", 1, 100)])
        order.add(Line("pen", 2, 100))
        order.add(Line("pen", 2, 90))
        self.assertEqual(order.lines, [Line("pen", 3, 100), Line("pen", 2, 90)])

    def test_totals(self) -> None:
        order = Order("a", [Line("pen", 3, 105)], discount=10)
        self.assertEqual((order.subtotal, order.total()), (315, 283))

    def test_a_line_is_parsed_and_a_wrong_one_refused(self) -> None:
        self.assertEqual(parse_line(" pen ; 2;50"), Line("pen", 2, 50))
        for text in ("pen;2", ";2;50", "pen;0;50", "pen;2;-1", "pen;2;50;1"):
            with self.assertRaises(ValueError):
                parse_line(text)

    def test_pages(self) -> None:
        orders = [Order(str(number)) for number in range(5)]
        self.assertEqual([len(page) for page in pages(orders, 2)], [2, 2, 1])

    def test_customers(self) -> None:
        orders = [Order("b", [Line("x", 1, 5)]), Order("a", [Line("x", 1, 5)]), Order("c", [Line("x", 1, 9)])]
        self.assertEqual(list(by_customer(orders)), ["a", "b", "c"])
        self.assertEqual(best_customers(orders, 2), [("c", 9), ("a", 5)])


class Money(unittest.TestCase):
    def test_half_a_cent_is_rounded_away_from_zero(self) -> None:
        halves = [Fraction(1, 2), Fraction(-1, 2), Fraction(3, 2), Fraction(149, 100)]
        self.assertEqual([rounded(half) for half in halves], [1, -1, 2, 1])
        self.assertEqual(percent_of(105, 10), Fraction(21, 2))

    def test_shown(self) -> None:
        self.assertEqual([shown(amount) for amount in (5, 1205, -305)], ["0.05", "12.05", "-3.05"])


class Checksum(unittest.TestCase):
    def test_the_table_is_right(self) -> None:
        for byte, entry in enumerate(TABLE):
            value = byte
            for _ in range(8):
                value = (value >> 1) ^ 0xEDB88320 if value & 1 else value >> 1
            self.assertEqual(entry, value, f"entry {byte} is 0x{entry:08x}, not 0x{value:08x}")
        self.assertEqual(crc32(b"123456789"), zlib.crc32(b"123456789"))
