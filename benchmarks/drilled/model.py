"""A fault that everyone is drilled with, and what came of it. Immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the table. `name` is that of our own drill.

    For a peer it is one of these: `provider` is an order for the first provider (`{"kill": true}` for its process),
    `tool` what the job's tool does when it is struck, `kill` the end of the worker's process, `escape` a write outside
    the workspace that the model asks for. `stream` has the peer stream its answers. `remains` is what a person has to
    do although the job goes on: in our own drills that is what they are called for.
    """

    name: str
    title: str
    provider: Mapping[str, Any] = field(default_factory=dict)
    tool: str = ""
    kill: bool = False
    escape: bool = False
    stream: bool = False
    remains: str = ""


_CALLS = {"path": "/v1/chat/completions"}
FAULTS = (
    Fault("provider-killed", "the provider's process is killed", {"kill": True}),
    Fault("provider-hangs", "the provider never answers", {"fault": "hang"}),
    Fault("rate-limit-storm", "every call gets 429, Retry-After 30", {"fault": "429", "number": 30.0}),
    Fault("credentials-rotated", "the key is refused (401)", {"fault": "401"}, remains="replace the key"),
    Fault("provider-retired", "the service is retired (410)", {"fault": "410"}),
    Fault("answers-truncated", "streams end in the middle", {"fault": "truncate"}, stream=True),
    Fault("passing-fault", "a single call fails (500)", {"fault": "500", "count": 1, "match": _CALLS}),
    Fault("worker-killed", "the worker is killed (SIGKILL), and started again", kill=True),
    Fault("tool-blocks", "a tool never returns", tool="block"),
    Fault("agent-crashes", "an agent's code raises an error, once", tool="crash"),
    Fault("secret-written", "an agent writes a key into an artifact", tool="leak", remains="find the key, withdraw it"),
    Fault("path-escape", "an agent writes outside its workspace", escape=True, remains="find out that it tried"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a fault; times in seconds after it.

    `detected`: an incident of ours; of a peer the first line of its output that speaks of trouble, which is `sign`.
    `resolved`: our incident is resolved; a peer's step that was struck is done. `finished`: the job came to its end
    with no hand on it, `finished_after` so long. `lost` are committed steps that a person's restart does again,
    `repeated` those that were done again without one, `calls_repeated` model calls that had been answered before.
    """

    contender: str
    version: str
    fault: str
    detected: float | None = None
    sign: str = ""
    resolved: float | None = None
    finished: bool = False
    finished_after: float | None = None
    lost: int = 0
    repeated: int = 0
    calls_repeated: int = 0
    notes: tuple[str, ...] = ()
    person: str = ""
