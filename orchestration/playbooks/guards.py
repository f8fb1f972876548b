"""What holds the machine back. Each guard is a pure decision that names its reason; the strictest one counts.

The limits are those that operators of such systems have settled on: few automatic runs per hour and then ask, few
attempts per incident and then escalate, none while most of the fleet is unhealthy, one switch that stops everything,
and an empty set of targets that means refuse, never everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from orchestration.playbooks.model import GuardSettings, Mode, Risk


class Guard(StrEnum):
    """The guards by name; the value is the log field, the metric label and the word on the timeline."""

    EXTERNAL_ALERT = "external-alert"
    KILL_SWITCH = "kill-switch"
    FLEET_SHARE = "fleet-share"
    ATTEMPTS = "attempts-per-incident"
    HOURLY_CAP = "hourly-cap"
    COOLDOWN = "cooldown"
    EMPTY_TARGET = "empty-target"
    TRIPPED = "tripped"
    DESTRUCTIVE = "destructive"


# These stay tripped for an action until a person resets them. Each is a sign of a loop: were it to end by itself after
# an hour, a repair that does harm would begin again at night.
LATCHING = frozenset({Guard.HOURLY_CAP.value, Guard.FLEET_SHARE.value})


@dataclass(frozen=True, slots=True)
class GuardSituation:
    """What the guards decide by. `recent` are the times at which this action ran automatically, for any incident;
    `attempts` is how many options were tried on this incident; `targets` is None for an action without targets.
    `tripped` means that a guard has tripped and was not reset; `allowed` that the configuration lets this destructive
    action run automatically. `external` means that another system reported the incident, and `named` that the
    configuration names this action for what it maps to a scenario of ours."""

    now: datetime
    automation_enabled: bool
    risk: Risk
    targets: tuple[str, ...] | None = None
    recent: Sequence[datetime] = ()
    attempts: int = 0
    fleet_unhealthy_percent: float = 0.0
    tripped: bool = False
    allowed: bool = False
    external: bool = False
    named: bool = False


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """How far the step may go, and which guard held it back; `because` is for the timeline.

    With `wait` the step is only postponed, by so many seconds.
    """

    mode: Mode
    guard: Guard | None = None
    because: str = ""
    wait: float = 0.0

    @property
    def stops_automation(self) -> bool:
        """Whether no further automatic step makes sense on this incident."""
        return self.guard in (Guard.KILL_SWITCH, Guard.FLEET_SHARE, Guard.ATTEMPTS)


def judge(wanted: Mode, settings: GuardSettings, situation: GuardSituation) -> GuardVerdict:
    """The mode in which a step may run. Steps that only read are held back by nothing but `off`."""
    # Reading stays possible with the kill switch on: a person who takes over needs the evidence most.
    if wanted is Mode.OFF or situation.risk is Risk.READS:
        return GuardVerdict(wanted)
    for guard in GUARDS:
        verdict = guard(settings, situation)
        if verdict is not None and _holds_back(verdict, wanted):
            return verdict
    return GuardVerdict(wanted)


def _holds_back(verdict: GuardVerdict, wanted: Mode) -> bool:
    """Whether it is stricter than what was wanted. Only an automatic step is postponed."""
    return verdict.mode.at_most(wanted) is not wanted or (verdict.wait > 0 and wanted is Mode.AUTO)


def _empty_target(_: GuardSettings, situation: GuardSituation) -> GuardVerdict | None:
    if situation.targets is None or situation.targets:
        return None
    return GuardVerdict(Mode.OFF, Guard.EMPTY_TARGET, "it has nothing to act on, and nothing never means everything")


def _external_alert(_: GuardSettings, situation: GuardSituation) -> GuardVerdict | None:
    if not situation.external or situation.named:
        return None
    # Refused, not put to a person: whoever can send an alert could otherwise have people asked to isolate or change
    # this system, until somebody says yes.
    return GuardVerdict(
        Mode.OFF,
        Guard.EXTERNAL_ALERT,
        "what this system has not observed itself changes nothing here (`alerting.intake.allowedActions` does not name "
        "this action)",
    )


def _kill_switch(_: GuardSettings, situation: GuardSituation) -> GuardVerdict | None:
    if situation.automation_enabled:
        return None
    # Asked and not refused: a person who has switched automation off may still want the step, on their own word.
    return GuardVerdict(Mode.ASK, Guard.KILL_SWITCH, "automatic actions are switched off (`automation.enabled`)")


def _fleet_share(settings: GuardSettings, situation: GuardSituation) -> GuardVerdict | None:
    unhealthy = situation.fleet_unhealthy_percent
    if unhealthy <= settings.fleet_percent:
        return None
    because = f"{unhealthy:.0f} % of the fleet is unwell, more than {settings.fleet_percent:.0f} %"
    # When most of the fleet fails, the cause is rarely in one worker; restarting them all would take the rest down too.
    return GuardVerdict(Mode.ASK, Guard.FLEET_SHARE, f"{because}: acting could make it worse")


def _attempts(settings: GuardSettings, situation: GuardSituation) -> GuardVerdict | None:
    if situation.attempts < settings.attempts:
        return None
    return GuardVerdict(
        Mode.ASK, Guard.ATTEMPTS, f"{situation.attempts} attempts have not helped; a person decides now"
    )


def _hourly_cap(settings: GuardSettings, situation: GuardSituation) -> GuardVerdict | None:
    recent = [moment for moment in situation.recent if moment > situation.now - timedelta(hours=1)]
    if len(recent) < settings.runs_per_hour:
        return None
    return GuardVerdict(Mode.ASK, Guard.HOURLY_CAP, f"it ran {len(recent)} times by itself within the hour")


def _cooldown(settings: GuardSettings, situation: GuardSituation) -> GuardVerdict | None:
    last = max(situation.recent, default=None)
    left = 0.0 if last is None else settings.cooldown - (situation.now - last).total_seconds()
    if left <= 0:
        return None
    # Postponed, not put to a person: two incidents at once are normal, and the wait is short.
    return GuardVerdict(Mode.AUTO, Guard.COOLDOWN, f"it ran less than {settings.cooldown:g} s ago", wait=left)


def _tripped(_: GuardSettings, situation: GuardSituation) -> GuardVerdict | None:
    if not situation.tripped:
        return None
    return GuardVerdict(Mode.ASK, Guard.TRIPPED, "a guard tripped before, and no person has reset it since")


def _destructive(_: GuardSettings, situation: GuardSituation) -> GuardVerdict | None:
    if situation.risk is not Risk.DESTRUCTIVE or situation.allowed:
        return None
    return GuardVerdict(Mode.ASK, Guard.DESTRUCTIVE, "what it does cannot be undone")


# The first that holds a step back names the reason, so those that forbid come before those that only ask.
GUARDS: tuple[Callable[[GuardSettings, GuardSituation], GuardVerdict | None], ...] = (
    _external_alert,
    _empty_target,
    _kill_switch,
    _fleet_share,
    _attempts,
    _tripped,
    _hourly_cap,
    _cooldown,
    _destructive,
)
