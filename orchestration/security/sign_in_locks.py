"""Who may not try to sign in for a while, because too many attempts have failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from orchestration.clock import Clock
from orchestration.errors import OrchestratorError
from orchestration.events import EventBus
from orchestration.events.security import SignInFailed, SignInLocked
from orchestration.storage.access import AccessTable

_WINDOW = timedelta(minutes=15)
# Failures count per source: a low limit by user name alone would let anyone lock the on-call engineer out. A high one
# stops many sources together, and never a browser that its user has signed in with before.
_MOST_FOR_USER = 5
_MOST_OF_SOURCE = 25
_MOST_OF_STRANGERS = 100
# Wrong one-time codes come from somebody who has the password, so a low limit locks nobody out by name alone.
_MOST_CODES = 10
_DEVICE = "device "
_CODES = "one-time codes"


class SignInError(OrchestratorError):
    """A sign-in was refused. The message never says whether the name or the password was wrong."""


class LockedError(SignInError):
    """Too many sign-ins of this source have failed; it is refused for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Too many sign-ins have failed. Try again in {seconds / 60:.0f} minutes.")
        self.seconds = seconds


class SignInLocks:
    """Counts failed sign-ins, by the table that all processes share. Every method blocks."""

    def __init__(self, table: AccessTable, bus: EventBus, clock: Clock) -> None:
        self._table = table
        self._bus = bus
        self._clock = clock

    def counted_as(self, name: str, place: str, device: str) -> str:
        """What a sign-in counts for: a device that guesses, too, is a stranger's."""
        known = f"{_DEVICE}{device}"[:64] if device else ""
        return known if known and not self._wait(name[:64], known) else place

    def check(self, name: str, place: str) -> None:
        """Raise LockedError if too many sign-ins of this source have failed, for this name or in total, or too many for
        this name from anywhere."""
        if wait := self._wait(name[:64], place):
            raise LockedError(wait)

    def check_code(self, name: str, place: str) -> None:
        """As `check`, for the second step of a sign-in."""
        self.check(name, place)
        now = self._clock.now()
        wrong = [at for user, at in self._table.list_failures(_CODES, now - _WINDOW) if user == name[:64]]
        if not place.startswith(_DEVICE) and (wait := _remaining(wrong, _MOST_CODES, now)):
            raise LockedError(wait)

    def note_failure(self, name: str, source: str, reason: str, place: str = "") -> None:
        """Record a failed sign-in, and report it if it locks the source out."""
        now, shown, place = self._clock.now(), name[:64], place or source
        self._table.add_failure(place, shown, now, now - _WINDOW)
        self._bus.publish(SignInFailed(source=source, user=shown, reason=reason))
        if self._wait(shown, place):
            self._bus.publish(SignInLocked(source=source, user=shown, seconds=_WINDOW.total_seconds()))

    def note_wrong_code(self, name: str, source: str, place: str) -> None:
        """Record a wrong code after the right password, which is one more sign that somebody else has the password."""
        now = self._clock.now()
        if not place.startswith(_DEVICE):
            self._table.add_failure(_CODES, name[:64], now, now - _WINDOW)
        self.note_failure(name, source, "wrong one-time code after the right password", place)

    def clear(self, name: str, place: str) -> None:
        """Forget the failures of a user who has signed in, at this source."""
        # For this name only: a source that guesses at others must not clear its count by signing in as itself.
        self._table.remove_failures(place, name)

    def _wait(self, name: str, place: str) -> float:
        """Seconds until this source may try again. The user whose name was guessed can still sign in from elsewhere."""
        now = self._clock.now()
        wait = locked_for(self._table.list_failures(place, now - _WINDOW), name, now)
        if wait or place.startswith(_DEVICE) or not name:
            return wait
        return _remaining(self._table.list_failures_for(name, now - _WINDOW), _MOST_OF_STRANGERS, now)


def locked_for(failures: Sequence[tuple[str, datetime]], name: str, now: datetime) -> float:
    """Seconds for which a source stays locked out as `name`, given its recent failures; 0 if it is not. Pure."""
    mine = [at for user, at in failures if user == name]
    everybodys = [at for _, at in failures]
    return max(_remaining(mine, _MOST_FOR_USER, now), _remaining(everybodys, _MOST_OF_SOURCE, now))


def _remaining(times: Sequence[datetime], most: int, now: datetime) -> float:
    """Seconds until fewer than `most` of these failures are within the window."""
    return (times[-most] + _WINDOW - now).total_seconds() if len(times) >= most else 0.0
