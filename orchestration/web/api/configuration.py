"""The configuration: what is in force, its versions, and the overrides on top."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel

from orchestration.app.config_check import check_files
from orchestration.config.overrides import AnyChange, Override
from orchestration.config.reference import json_schema
from orchestration.events.configuration import ConfigurationRolledBack
from orchestration.security.principal import Role
from orchestration.web.api.services import Here, Limit, Name, Seconds, Text, Who, needs

router = APIRouter()
_AREA = "configuration"
_LOOK = needs(Role.VIEWER, _AREA)
_ACT = needs(Role.OPERATOR, _AREA)
_RULE = needs(Role.ADMIN, _AREA)
_Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


class ConfigurationView(BaseModel):
    """The configuration in force, without secrets. `refused` says why the file as it stands is not."""

    version: int | None
    configuration: dict[str, Any]
    overrides: Sequence[Override]
    refused: Sequence[dict[str, Any]]


class VersionLine(BaseModel):
    """A version that was once in force."""

    number: int
    sha256: str
    loaded_at: datetime


class Changed(BaseModel):
    """One value that differs."""

    path: str
    before: Any
    after: Any


class Findings(BaseModel):
    """What is to be said of the files as they stand on the disk."""

    usable: bool
    findings: Sequence[dict[str, Any]]


class NewOverride(BaseModel):
    """A change on top of the file, why, and for how long (until it is ended where there is no time)."""

    change: AnyChange
    reason: Text
    seconds: Seconds | None = None


@router.get("/configuration", dependencies=_LOOK)
def show_configuration(here: Here) -> ConfigurationView:
    """What is in force now, and what overrides change in it."""
    app = here.app
    document = app.configuration.model_dump(mode="json", by_alias=True, exclude_none=True)
    return ConfigurationView(
        version=app.store.number,
        configuration=app.redactor.data(document),
        overrides=app.store.overrides,
        refused=[finding.as_json() for finding in app.store.refused],
    )


@router.get("/configuration/findings", dependencies=_LOOK)
def list_findings(here: Here) -> Findings:
    """Everything that is wrong with the configuration file and `.env`, at once."""
    checked = check_files(here.app.config_file, dict(os.environ))
    return Findings(usable=checked.usable, findings=[finding.as_json() for finding in checked.findings])


@router.get("/configuration/schema", dependencies=_LOOK)
def show_schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    schema: dict[str, Any] = json.loads(json_schema())
    return schema


@router.get("/configuration/versions", dependencies=_LOOK)
def list_versions(here: Here, limit: Limit = 50) -> list[VersionLine]:
    """The versions that were in force, newest first."""
    return [
        VersionLine(number=one.number, sha256=one.sha256, loaded_at=one.loaded_at)
        for one in here.app.store.history(limit)
    ]


@router.get("/configuration/versions/{before}/changes/{after}", dependencies=_LOOK)
def list_changes(here: Here, before: _Version, after: _Version) -> list[Changed]:
    """What changed from one version to another."""
    app = here.app
    return [
        Changed.model_validate(app.redactor.data({"path": one.path, "before": one.before, "after": one.after}))
        for one in app.store.diff(before, after)
    ]


@router.post("/configuration/versions/{number}/restore", dependencies=_RULE)
def restore(here: Here, who: Who, number: _Version) -> VersionLine:
    """Write an earlier version into the file; it is taken in like any other edit."""
    version = here.app.store.rollback(number)
    here.app.bus.publish(ConfigurationRolledBack(number=number), actor=who.name)
    return VersionLine(number=version.number, sha256=version.sha256, loaded_at=version.loaded_at)


@router.get("/overrides", dependencies=_LOOK)
def list_overrides(here: Here) -> list[Override]:
    """The overrides in force, oldest first."""
    return list(here.app.store.overrides)


# On the event loop: who hears of a change expects to be told there.
@router.post("/overrides", status_code=201, dependencies=_ACT)
async def add_override(here: Here, who: Who, asked: NewOverride) -> Override:
    """Put a change in force: here at once, elsewhere within a second."""
    reason = here.app.redactor.text(asked.reason)
    return here.app.store.add_override(asked.change, reason=reason, actor=who.name, seconds=asked.seconds)


@router.delete("/overrides/{override}", status_code=204, dependencies=_ACT)
async def end_override(here: Here, who: Who, override: Name) -> None:
    """End a change before its time."""
    here.app.store.remove_override(override, who.name)
