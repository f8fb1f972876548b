"""The composition root: builds everything from a configuration, starts it, and stops it in reverse.

Two sizes: a `Project` reads and writes records (enough for lists and reports, and quick to open); an `Application` also
runs agents.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestration import logs
from orchestration.agents.loop import AgentLoop
from orchestration.agents.model_calls import ModelCalls
from orchestration.agents.tool_calls import ToolCalls
from orchestration.agents.workbench import RunWorkbench
from orchestration.clock import Clock, SystemClock
from orchestration.config.schema import Configuration
from orchestration.config.store import ConfigurationStore
from orchestration.events import Bus
from orchestration.providers.gateway import Gateway
from orchestration.security.redaction import Redactor
from orchestration.storage.approvals import ApprovalTable
from orchestration.storage.artifacts import ArtifactTable
from orchestration.storage.configuration import ConfigVersions, OverrideTable
from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.storage.routes import RouteStates
from orchestration.storage.runs import Runs, RunStatus
from orchestration.storage.spend import Spend
from orchestration.storage.timeline import Timeline, TimelineWriter
from orchestration.workflows import execution
from orchestration.workflows.approvals import Approvals
from orchestration.workflows.artifacts import ArtifactStore
from orchestration.workflows.control import RunControl
from orchestration.workflows.coordinator import RUN, Coordinator
from orchestration.workflows.engine import Engine
from orchestration.workflows.execution import AGENT, EXECUTION
from orchestration.workflows.waiting import Waiting
