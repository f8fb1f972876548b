"""The first user of a project that a server in the background serves, and their browser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.support import prefork
from tests.support.browser import Opener
from tests.support.console import COMMAND, environment
from tests.support.patience import patient
from tests.support.web import PASSWORD


def first_user_signed_in(opener: Opener, config: Path, printed: str, screen: Mapping[str, Any]) -> Page:
    """The overview, for an admin who is added on the console: what a server prints into a file holds no link."""
    found = re.search(r"dashboard and API: (http\S+)", printed)
    assert found is not None, printed
    command = (*COMMAND, "--config", str(config), "users", "add", "ada", "--role", "admin", "--password-stdin")
    done = prefork.call(command, data=PASSWORD.encode(), seconds=patient(60), cwd=config.parent, env=environment())
    assert done.returncode == 0, done.stderr.decode()
    page = opener(found[1], "/sign-in", screen)
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page
