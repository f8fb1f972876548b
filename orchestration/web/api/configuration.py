"""The configuration in force, its versions, and overrides."""

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
from orchestration.web.api.services import Caller, Limit, Name, Seconds, Services, Text, requires

router = APIRouter()
_AREA = "configuration"
_VIEW = requires(Role.VIEWER, _AREA)
_OPERATE = requires(Role.OPERATOR, _AREA)
_ADMINISTER = requires(Role.ADMIN, _AREA)
_Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


class ConfigurationView(BaseModel):
    """The configuration in force, without secrets. If the current file is invalid, `refused` has its findings."""

    version: int | None
    configuration: dict[str, Any]
    overrides: Sequence[Override]
    refused: Sequence[dict[str, Any]]


class VersionView(BaseModel):
    """A version of the configuration that was in force at some time."""

    number: int
    sha256: str
    loaded_at: datetime


class ChangedSetting(BaseModel):
    """One setting whose value differs between two versions."""

    path: str
    before: Any
    after: Any


class Findings(BaseModel):
    """The findings about the files on disk, and whether the files can be used."""

    usable: bool
    findings: Sequence[dict[str, Any]]


class NewOverride(BaseModel):
    """A temporary change on top of the file, with its reason. Without `seconds` it stays in force until it is ended."""

    change: AnyChange
    reason: Text
    seconds: Seconds | None = None


@router.get("/configuration", dependencies=_VIEW)
def show_configuration(services: Services) -> ConfigurationView:
    """Show the configuration in force, and the overrides in it."""
    app = services.app
    document = app.configuration.model_dump(mode="json", by_alias=True, exclude_none=True)
    return ConfigurationView(
        version=app.store.number,
        configuration=app.redactor.data(document),
        overrides=app.store.overrides,
        refused=[finding.as_json() for finding in app.store.refused],
    )


@router.get("/configuration/findings", dependencies=_VIEW)
def list_findings(services: Services) -> Findings:
    """Check the configuration file and `.env` on disk, and list all findings."""
    checked = check_files(services.app.config_file, dict(os.environ))
    return Findings(usable=checked.usable, findings=[finding.as_json() for finding in checked.findings])


@router.get("/configuration/schema", dependencies=_VIEW)
def show_schema() -> dict[str, Any]:
    """Show the JSON Schema of the configuration file, for editors."""
    schema: dict[str, Any] = json.loads(json_schema())
    return schema


@router.get("/configuration/versions", dependencies=_VIEW)
def list_versions(services: Services, limit: Limit = 50) -> list[VersionView]:
    """List the versions that were in force, newest first."""
    return [
        VersionView(number=one.number, sha256=one.sha256, loaded_at=one.loaded_at)
        for one in services.app.store.history(limit)
    ]


@router.get("/configuration/versions/{before}/changes/{after}", dependencies=_VIEW)
def list_changes(services: Services, before: _Version, after: _Version) -> list[ChangedSetting]:
    """List the settings that differ between two versions."""
    app = services.app
    return [
        ChangedSetting.model_validate(app.redactor.data({"path": one.path, "before": one.before, "after": one.after}))
        for one in app.store.diff(before, after)
    ]


@router.post("/configuration/versions/{number}/restore", dependencies=_ADMINISTER)
def restore(services: Services, principal: Caller, number: _Version) -> VersionView:
    """Write an earlier version to the file, which is then loaded like any other edit."""
    version = services.app.store.rollback(number)
    services.app.bus.publish(ConfigurationRolledBack(number=number), actor=principal.name)
    return VersionView(number=version.number, sha256=version.sha256, loaded_at=version.loaded_at)


@router.get("/overrides", dependencies=_VIEW)
def list_overrides(services: Services) -> list[Override]:
    """List the overrides in force, oldest first."""
    return list(services.app.store.overrides)


# `async`, so that it runs on the event loop and not in a worker thread: the store calls its subscribers on the thread
# that changes the configuration, and they expect to be called on the event loop.
@router.post("/overrides", status_code=201, dependencies=_OPERATE)
async def add_override(services: Services, principal: Caller, body: NewOverride) -> Override:
    """Add an override. It takes effect immediately here, and within a second in other processes."""
    reason = services.app.redactor.text(body.reason)
    return services.app.store.add_override(body.change, reason=reason, actor=principal.name, seconds=body.seconds)


@router.delete("/overrides/{override}", status_code=204, dependencies=_OPERATE)
async def end_override(services: Services, principal: Caller, override: Name) -> None:
    """End an override before it expires."""
    services.app.store.remove_override(override, principal.name)
