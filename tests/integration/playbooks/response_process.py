"""A process of its own that responds to one incident: `python response_process.py FOLDER [INCIDENT]`.

Without an incident it declares one and starts the response; with one it takes the response over. It says what it does,
a line each, so that whoever started it can kill it at any of these moments.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from orchestration.playbooks.ids import response_id
from orchestration.playbooks.runner import RESPONSE
from orchestration.playbooks.step_results import ResponseRequest
from tests.support.responses import ResponseRoom


async def main() -> None:
    room = ResponseRoom(Path(sys.argv[1]))
    room.bus.subscribe(lambda event: print(event.kind, event.data.get("step", ""), flush=True))
    async with room.engine() as engine:
        if len(sys.argv) > 2:
            incident = room.incident(sys.argv[2])
            await engine.recover(response_id(incident.id, incident.clock.number))
        else:
            incident = room.an_incident()
            print(f"incident {incident.id}", flush=True)
            flow_id = response_id(incident.id, incident.clock.number)
            await engine.start(RESPONSE, flow_id, ResponseRequest(incident.id))
        ended = await engine.result(response_id(incident.id, incident.clock.number))
        print(f"ended {ended['state']}", flush=True)


asyncio.run(main())
