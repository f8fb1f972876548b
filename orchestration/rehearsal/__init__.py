"""The rehearsal provider: a real HTTP server on loopback that speaks the providers' wire formats.

It answers from scenes instead of a model, and every answer says so. Importing this package is cheap: the HTTP server is
imported when it starts.
"""

from orchestration.rehearsal.labels import MODEL
from orchestration.rehearsal.server import RehearsalServer

__all__ = ["MODEL", "RehearsalServer"]
