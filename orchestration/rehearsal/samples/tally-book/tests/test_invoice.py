import unittest
from datetime import date
from decimal import Decimal

from tallybook.invoice import Invoice, Line


class Summary(unittest.TestCase):
    def test_tax_and_due_date_are_those_of_the_tax_office(self) -> None:
        lines = (Line("Blue mug", 3, 850), Line("Pencil", 1, 102))
        invoice = Invoice(date(2026, 3, 6), lines, vat_percent=Decimal(19), days=8)
        self.assertEqual(invoice.summary(), "31.56 (tax 5.04) due 2026-03-16")
