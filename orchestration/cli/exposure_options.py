"""The options of commands that listen: where, and under which conditions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestration.web.exposure import Exposure, checked_proxies

_Function = TypeVar("_Function", bound=Callable[..., Any])
_file = click.Path(path_type=Path, dir_okay=False)


def exposure_options(port: int, otherwise: str = "") -> Callable[[_Function], _Function]:
    """`--host`, `--port`, `--name`, `--certificate`, `--key` and `--proxy`, to be read by `exposure_from`. `port` is
    the usual one, `otherwise` what is done if that is in use."""

    def add(function: _Function) -> _Function:
        for option in reversed(
            (
                click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on."),
                click.option("--port", type=click.IntRange(0, 65_535), help=f"The port.  [default: {port}{otherwise}]"),
                click.option("--name", "names", multiple=True, help="Another host name of this server. Repeatable."),
                click.option("--certificate", type=_file, help="The TLS certificate, in PEM format."),
                click.option("--key", type=_file, help="The key of the certificate, in PEM format."),
                click.option(
                    "--proxy", "proxies", multiple=True, help="The address of a trusted reverse proxy. Repeatable."
                ),
            )
        ):
            function = option(function)
        return function

    return add


def exposure_from(usual_port: int, given: dict[str, Any], *, sign_in: bool = True) -> Exposure:
    """What the options say. Raises UsageError."""
    port = usual_port if given["port"] is None else given["port"]
    proxies = checked_proxies(given["proxies"])
    return Exposure(given["host"], port, given["names"], given["certificate"], given["key"], proxies, sign_in)
