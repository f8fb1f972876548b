"""The composition root: builds everything from a configuration, starts it, and stops it in reverse.

Two sizes: `ProjectRecords` reads and writes records, enough for lists and reports and quick to open; an `Application`
also runs agents.
"""

from orchestration.app.application import Application, application
from orchestration.app.project import ProjectRecords, project

__all__ = ["Application", "ProjectRecords", "application", "project"]
