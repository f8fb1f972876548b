"""An export of Grafana OnCall: what its HTTP API lists, in one JSON document. Pure.

The API: https://grafana.com/docs/oncall/latest/oncall-api-reference/. Each key is a list, or a page of the API with the
list in `results`. Fields that are not needed here are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from orchestration.config.response import TimeZone
from orchestration.errors import UsageError

_SHOWN = 3
IcalDay = Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


def _listed(value: Any) -> Any:
    return value.get("results") if isinstance(value, Mapping) else value


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class SlackUser(_Record):
    """A user's account in a Slack workspace."""

    user_id: str


class OnCallUser(_Record):
    """A user."""

    id: str
    username: str
    email: str | None = None
    slack: tuple[SlackUser, ...] | None = None


class OnCallShiftRecord(_Record):
    """One on-call shift, which may recur; `start` is a local time."""

    id: str
    name: str = ""
    type: str
    time_zone: TimeZone | None = None
    level: int | None = None
    start: datetime
    duration: Annotated[int, Field(gt=0, le=366 * 86_400)]
    frequency: Literal["hourly", "daily", "weekly", "monthly"] | None = None
    interval: Annotated[int, Field(ge=1, le=1_000)] | None = None
    until: datetime | None = None
    week_start: IcalDay | None = None
    by_day: tuple[IcalDay, ...] | None = None
    by_month: tuple[int, ...] | None = None
    by_monthday: tuple[int, ...] | None = None
    users: tuple[str, ...] | None = None
    rolling_users: tuple[tuple[str, ...], ...] | None = None
    start_rotation_from_user_index: int | None = None

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Those who take turns, in the order of their turns; a group is on call together."""
        if self.type != "rolling_users":
            return ((self.users or ()),)
        groups = self.rolling_users or ()
        first = (self.start_rotation_from_user_index or 0) % max(1, len(groups))
        return (*groups[first:], *groups[:first])


class OnCallSchedule(_Record):
    """A schedule: shifts, or the address of a calendar."""

    id: str
    name: str
    type: str
    time_zone: TimeZone | None = None
    ical_url_primary: str | None = None
    ical_url_overrides: str | None = None
    shifts: tuple[str, ...] | None = None


class EscalationChain(_Record):
    """A named list of escalation policies."""

    id: str
    name: str


class EscalationStep(_Record):
    """One step of an escalation chain; the API calls it a policy."""

    escalation_chain_id: str
    position: int
    type: str
    duration: int | None = None
    persons_to_notify: tuple[str, ...] | None = None
    persons_to_notify_next_each_time: tuple[str, ...] | None = None
    notify_on_call_from_schedule: str | None = None


class DefaultRoute(_Record):
    """Where the alerts of an integration go that no route matches."""

    escalation_chain_id: str | None = None


class OnCallIntegration(_Record):
    """A source of alerts."""

    id: str
    name: str
    type: str
    default_route: DefaultRoute | None = None


class OnCallRoute(_Record):
    """Which alerts of an integration go to which chain."""

    integration_id: str
    routing_regex: str | None = None
    escalation_chain_id: str | None = None
    is_the_last_route: bool = False


class OnCallExport(_Record):
    """The whole export."""

    users: Annotated[tuple[OnCallUser, ...], BeforeValidator(_listed)] = Field(min_length=1)
    schedules: Annotated[tuple[OnCallSchedule, ...], BeforeValidator(_listed)] = ()
    on_call_shifts: Annotated[tuple[OnCallShiftRecord, ...], BeforeValidator(_listed)] = ()
    escalation_chains: Annotated[tuple[EscalationChain, ...], BeforeValidator(_listed)] = ()
    escalation_policies: Annotated[tuple[EscalationStep, ...], BeforeValidator(_listed)] = ()
    integrations: Annotated[tuple[OnCallIntegration, ...], BeforeValidator(_listed)] = ()
    routes: Annotated[tuple[OnCallRoute, ...], BeforeValidator(_listed)] = ()


def read_export(text: str) -> OnCallExport:
    """Read an export. Raises UsageError with what is wrong and where."""
    try:
        return OnCallExport.model_validate(json.loads(text))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        places = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:_SHOWN])
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UsageError(f"This is not an export of Grafana OnCall: {places}{more}.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The export is not JSON: {error}.") from None
