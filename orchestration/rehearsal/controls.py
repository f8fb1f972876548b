"""The paths under `/rehearsal/`, by which tests and drills look in and set faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from starlette.requests import Request
from starlette.routing import Route

from orchestration.errors import UsageError
from orchestration.rehearsal.call_log import CallLog
from orchestration.rehearsal.fault_registry import FaultOrder, FaultRegistry
from orchestration.rehearsal.faults import FAULTS
from orchestration.rehearsal.request_bodies import as_shape, read_json
from orchestration.rehearsal.transmission import Transmission
from orchestration.rehearsal.wire_reply import WireReply, whole


class Controls:
    """No fault ever hits these."""

    def __init__(self, faults: FaultRegistry, journal: CallLog, send: Callable[[WireReply], Transmission]) -> None:
        self._faults = faults
        self._journal = journal
        self._send = send

    def routes(self) -> list[Route]:
        return [
            Route("/rehearsal/stats", self._stats),
            Route("/rehearsal/calls", self._calls),
            Route("/rehearsal/faults", self._list_faults),
            Route("/rehearsal/faults", self._post_fault, methods=["POST"]),
            Route("/rehearsal/faults", self._clear_faults, methods=["DELETE"]),
        ]

    async def _stats(self, _request: Request) -> Transmission:
        return self._send(whole(self._journal.stats()))

    async def _calls(self, _request: Request) -> Transmission:
        return self._send(whole({"calls": self._journal.calls()}))

    async def _list_faults(self, _request: Request) -> Transmission:
        return self._send(whole({"kinds": list(FAULTS), "faults": self._faults.in_force()}))

    async def _post_fault(self, request: Request) -> Transmission:
        order = as_shape(FaultOrder, await read_json(request))
        if order.fault == "refuse":
            return self._close_port(order)
        self._faults.post(order)
        return await self._list_faults(request)

    def _close_port(self, order: FaultOrder) -> Transmission:
        """Nobody who is refused can be counted, and nobody could take it back: only a time makes sense."""
        if order.seconds is None or order.count is not None or order.match is not None:
            raise UsageError('expected "seconds" alone with the fault refuse; the port is closed for everyone')
        self._journal.add_fault(order.fault)
        return self._send(replace(whole({"refusing_seconds": order.seconds}), refuse=order.seconds))

    async def _clear_faults(self, request: Request) -> Transmission:
        self._faults.clear()
        return await self._list_faults(request)
