"""The texts of notifications: one file for each kind. The first line is the subject, the rest the body.

`initial.txt` and `resolved.txt` are the playbook's own two templates, line by line; the others follow their manner.
A file of the same name in the project's `config/templates` takes the place of a shipped one.
"""

from orchestration.notifications.templates.renderer import SHIPPED, RenderedMessage, TemplateRenderer

__all__ = ["SHIPPED", "RenderedMessage", "TemplateRenderer"]
