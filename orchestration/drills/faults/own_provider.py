"""A package of the user's own in a drill's project: a type of provider, whose code does harm in a worker when it is
triggered."""

from __future__ import annotations

from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.setup import DrillSetting

_SITE, _KIND, _TRIGGER = "site", "own.drill", "own-provider.txt"
# Many small pieces, so that the memory grows from one measurement to the next; at first a quarter of a gigabyte in ten
# seconds, then slowly. More threads than the worker's pool has: https://anyio.readthedocs.io/en/stable/threads.html
_CODE = f'''\
import asyncio, threading, time
from pathlib import Path

import anyio.to_thread

from orchestration.config.providers.descriptor import ProviderDescriptor
from orchestration.providers.endpoint import Endpoint

HELD = []


class DrillEndpoint(Endpoint):
    """Only workers make calls; the control process probes."""

    def chat_body(self, model, body):
        trigger = Path("{_TRIGGER}")
        try:
            how = trigger.read_text()
            trigger.rename("{_TRIGGER}.taken")
        except OSError:
            return super().chat_body(model, body)
        if how == "leak":
            threading.Thread(target=leak, daemon=True).start()
        for _ in range(100 if how == "block" else 0):
            HELD.append(asyncio.ensure_future(anyio.to_thread.run_sync(time.sleep, 3600)))
        return super().chat_body(model, body)


def leak():
    while True:
        HELD.append(b"x" * (2_500_000 if len(HELD) < 150 else 20_000))
        time.sleep(0.1)


DRILL = ProviderDescriptor(
    "{_KIND}", "a rehearsal provider", "own_drill:DrillEndpoint", optional=("auth",), answers_during_calls=True
)
'''
_FILES = {
    f"{_SITE}/own_drill.py": _CODE,
    f"{_SITE}/own_drill-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: own-drill\nVersion: 1.0\n",
    f"{_SITE}/own_drill-1.0.dist-info/entry_points.txt": "[orchestration.providers]\ndrill = own_drill:DRILL\n",
}


def own_provider(workers: int, **configuration: object) -> DrillSetting:
    """A setting whose only provider is of that type."""
    return DrillSetting(
        providers=("primary",),
        workers=workers,
        configuration={"runtime": {"primary": {"type": _KIND}}, **configuration},
        files=_FILES,
        sites=(_SITE,),
    )


def trigger_own_provider(environment: DrillEnvironment, how: str) -> None:
    """Have the next call of a worker `leak` memory, or `block` all of its threads."""
    new = environment.folder / f"{_TRIGGER}.new"
    new.write_text(how)
    new.replace(environment.folder / _TRIGGER)
