import unittest
from decimal import Decimal

from tallybook.money import display, percentage


class Percentage(unittest.TestCase):
    def test_whole_cents_stay_as_they_are(self) -> None:
        self.assertEqual(percentage(1000, Decimal(19)), 190)

    def test_more_than_half_a_cent_goes_up(self) -> None:
        self.assertEqual(percentage(105, Decimal(19)), 20)

    def test_half_a_cent_goes_up(self) -> None:
        self.assertEqual(percentage(50, Decimal(7)), 4)


class Display(unittest.TestCase):
    def test_cents_have_two_digits(self) -> None:
        self.assertEqual(display(1230), "12.30")
        self.assertEqual(display(-5), "-0.05")
