"""A project with the gateway to its providers: what requests for answers of models need. Nothing here runs agents."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.app.background_tasks import BackgroundTasks
from orchestration.app.live_credentials import LiveCredentials
from orchestration.app.project import ProjectRecords
from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.providers.shared_slots import LockFile
from orchestration.storage.budget_balances import BudgetBalances
from orchestration.storage.route_states import RouteStates

if TYPE_CHECKING:
    from orchestration.providers.gateway import Gateway

_SLOTS, _RATES = "slots.lock", "rates"


class ModelHost(ProjectRecords):
    """A project with its gateway. `slots` are those that the processes of this machine share."""

    def __init__(self, config_file: Path, clock: Clock | None = None) -> None:
        super().__init__(config_file, clock)
        # Imported here: the rehearsal's server takes long to import, which a command that only reads must not pay.
        from orchestration.runs.rehearsal import EmbeddedRehearsal

        self.tasks = BackgroundTasks()
        self.slots = LockFile(self.state_folder / _SLOTS)
        self.rates_folder = self.state_folder / _RATES
        self._rehearsal = EmbeddedRehearsal()
        self.gateway = self._build_gateway()

    def effective(self) -> Configuration:
        """The configuration in force, with the address of the embedded rehearsal provider filled in."""
        return self._rehearsal.apply_to(self.store.current)

    @contextlib.asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Ask providers for as long as the block lasts, by the configuration as it changes."""
        async with self._rehearsal, self._asking(), self.tasks.running():
            await self.rehearse_where_configured()
            self._follow_configuration()
            yield

    async def rehearse_where_configured(self) -> None:
        """Start the rehearsal provider that this process runs for itself, if the configuration has one: a process that
        is asked by others cannot know which provider they will name."""
        from orchestration.runs.rehearsal import is_embedded

        providers = self.store.current.runtime.providers.values()
        if any(one.enabled and is_embedded(one) for one in providers) and await self._rehearsal.start():
            await self.gateway.reconfigure()

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        with contextlib.closing(self.slots):
            async with self.gateway.running():
                yield

    def _follow_configuration(self) -> None:
        self.store.subscribe(self._reconfigure)
        self.tasks.start_soon(self.store.watch)

    def _reconfigure(self, _: Configuration) -> None:
        # Subscribers are called synchronously on the event loop, and the gateway closes old clients asynchronously.
        self.tasks.start_soon(self.gateway.reconfigure)

    def _build_gateway(self) -> Gateway:
        from orchestration.providers.budget import Budgets
        from orchestration.providers.gateway import Gateway

        return Gateway(
            self.effective,
            LiveCredentials(self.store),
            self.bus,
            self.clock,
            Budgets(BudgetBalances(self.database), self.effective, self.bus),
            RouteStates(self.database),
            redact=self.redactor.text,
            slots=self.slots,
        )
