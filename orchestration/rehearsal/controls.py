"""The endpoints under `/rehearsal/`, through which tests and drills read counts and set faults."""

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
    """The control endpoints. No fault ever applies to them, or nobody could end a fault."""

    def __init__(self, faults: FaultRegistry, call_log: CallLog, send: Callable[[WireReply], Transmission]) -> None:
        self._faults = faults
        self._call_log = call_log
        self._send = send

    def routes(self) -> list[Route]:
        return [
            Route("/rehearsal/stats", self._stats),
            Route("/rehearsal/calls", self._calls),
            Route("/rehearsal/faults", self._list_faults),
            Route("/rehearsal/faults", self._add_fault, methods=["POST"]),
            Route("/rehearsal/faults", self._clear_faults, methods=["DELETE"]),
        ]

    async def _stats(self, _request: Request) -> Transmission:
        return self._send(whole(self._call_log.stats()))

    async def _calls(self, _request: Request) -> Transmission:
        return self._send(whole({"calls": self._call_log.calls()}))

    async def _list_faults(self, _request: Request) -> Transmission:
        return self._send(whole({"kinds": list(FAULTS), "faults": self._faults.list()}))

    async def _add_fault(self, request: Request) -> Transmission:
        order = as_shape(FaultOrder, await read_json(request))
        if order.fault == "refuse":
            return self._close_port(order)
        self._faults.add(order)
        return await self._list_faults(request)

    def _close_port(self, order: FaultOrder) -> Transmission:
        """Refuse connections for a time. A count makes no sense, since no request arrives to be counted."""
        if order.seconds is None or order.count is not None or order.match is not None:
            raise UsageError('expected "seconds" alone with the fault refuse; the port is closed for everyone')
        self._call_log.add_fault(order.fault)
        return self._send(replace(whole({"refusing_seconds": order.seconds}), refuse=order.seconds))

    async def _clear_faults(self, request: Request) -> Transmission:
        self._faults.clear()
        return await self._list_faults(request)
