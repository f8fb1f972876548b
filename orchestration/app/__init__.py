"""The composition root: builds everything from a configuration, starts it, and stops it in reverse.

Two sizes: a `Project` reads and writes records, enough for lists and reports and quick to open; an `Application` also
runs agents.
"""

from orchestration.app.application import Application, application
from orchestration.app.project import Project, project

__all__ = ["Application", "Project", "application", "project"]
