import unittest
from datetime import date

from tallybook.terms import due_date

FRIDAY = date(2026, 3, 6)
MONDAY_AFTER_NEXT = date(2026, 3, 16)


class DueDate(unittest.TestCase):
    def test_a_working_day_stays(self) -> None:
        self.assertEqual(due_date(FRIDAY, 7), date(2026, 3, 13))

    def test_a_saturday_moves_to_monday(self) -> None:
        self.assertEqual(due_date(FRIDAY, 8), MONDAY_AFTER_NEXT)

    def test_a_sunday_moves_to_monday(self) -> None:
        self.assertEqual(due_date(FRIDAY, 9), MONDAY_AFTER_NEXT)
