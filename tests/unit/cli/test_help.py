"""What `--help` says of each command."""

from __future__ import annotations

import click
import pytest

from tests.support.reference_pages import commands

COMMANDS = dict(commands())


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_every_option_says_what_it_is_for(path: str) -> None:
    command = COMMANDS[path]
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    assert command.help
    assert [one.opts[0] for one in options if not one.help] == []
