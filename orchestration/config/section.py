"""The base class and the common types of all parts of the configuration file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
PositiveSeconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class Section(BaseModel):
    """A part of the file: camelCase keys, immutable, and without values in its error messages."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="allow",  # a warning names unknown keys; forbidding them would lock out files of newer releases
        frozen=True,
        hide_input_in_errors=True,  # a misplaced value may be a secret
    )
