"""The rehearsal provider: a real HTTP server on loopback that speaks the providers' wire formats.

It answers by scenes instead of a model, and says so in every answer. Importing this is cheap: the HTTP server itself is
loaded when it starts.
"""

from orchestration.rehearsal.labels import MODEL
from orchestration.rehearsal.server import RehearsalServer

__all__ = ["MODEL", "RehearsalServer"]
