"""Helpers for tests of one's own agents: a model that says what a test wants, faults, and a clock that stands still.

    from orchestration.testing import RehearsalModel, call

    async with RehearsalModel([call("weather", city="Oslo"), "It rains."]) as model:
        model.fail("503", count=2)
        project = Project(tmp_path, agents=[Agent("forecaster", tools=[weather])], providers=[model.provider])
        result = await project.run("What is the weather in Oslo?", tmp_path / "work")

Nothing is mocked: the model is an HTTP server on loopback, and everything between it and the test is the real thing.
"""

from orchestration.clock import FakeClock
from orchestration.testing.rehearsal_model import RehearsalModel, call

__all__ = ["FakeClock", "RehearsalModel", "call"]
