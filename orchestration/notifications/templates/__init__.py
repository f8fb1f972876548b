"""The texts of notifications: one file for each kind. The first line is the subject, the rest the body.

`initial.txt` and `resolved.txt` are the playbook's two templates, line by line; the others have the same style. A file
of the same name in the project's `config/templates` replaces a shipped one.
"""

from orchestration.notifications.templates.renderer import SHIPPED, RenderedMessage, TemplateRenderer

__all__ = ["SHIPPED", "RenderedMessage", "TemplateRenderer"]
