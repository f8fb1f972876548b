"""Events of the clock."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class ClockSetBack(EventPayload):
    """The clock of this machine is behind times that were recorded: it was set back, or was ahead before. What is
    recorded goes on from there, a tenth slower, until the machine's clock has caught up."""

    kind: ClassVar[str] = "clock.set_back"
    template: ClassVar[str] = "the clock of this machine is {seconds:.0f} s behind the times recorded so far"
    level: ClassVar[int] = logging.WARNING

    seconds: float
