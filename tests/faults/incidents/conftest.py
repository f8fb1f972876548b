"""The provider and the watched project of the acceptance tests."""

from __future__ import annotations

from tests.acceptance.incidents.conftest import provider, watch

__all__ = ["provider", "watch"]
