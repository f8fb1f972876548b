"""Which of many open incidents the board shows as cards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.incident_records import a_desk, a_report
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.model import person
from orchestration.incidents.report import Facts
from orchestration.web.pages.incidents import open_board


def test_the_worst_that_nobody_has_are_cards_however_many_newer_ones_there_are(tmp_path: Path) -> None:
    with a_desk(tmp_path) as (_, service, clock):
        severe = Facts(database_unreachable=True)
        taken, waiting = (
            service.open_or_join(replace(a_report(number, clock.now()), facts=severe)) for number in (1, 2)
        )
        service.execute(taken.id, person("ada"), Acknowledge())
        minor = [
            service.open_or_join(replace(a_report(number, clock.now()), facts=Facts(has_workaround=True)))
            for number in range(3, 9)
        ]
        board = open_board(service.records, clock.now(), 3)
        assert [card.incident.id for card in board.cards][:2] == [waiting.id, taken.id]
        assert board.cards[0].incident.severity is Severity.P0
        assert len(board.cards) == 3
        assert {row.id for row in board.others} | {board.cards[2].incident.id} == {one.id for one in minor}
        assert (board.count, board.counted) == (8, "8")
