"""A client of the API, `/api/v1`, for programs of one's own and for the console command's `--server`.

with Client("https://orchestrator.example", token="orc_…") as client:
    run = client.start_run("make the tests pass", "/srv/repository")
    for event in client.events(run=run.id):
        print(event.kind)
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, Self, TypeVar, get_type_hints

import httpx2

from orchestration.errors import ConflictError, NotFoundError, OrchestratorError, UsageError

T = TypeVar("T")

_PREFIX = "/api/v1"
# Longer than any answer of the API takes, since work is started and not waited for.
_SECONDS = 30.0
# The same classes as without a server, so that callers and exit codes need no second case.
_ERRORS: Mapping[int, type[OrchestratorError]] = {404: NotFoundError, 409: ConflictError, 422: UsageError}


class RefusedError(OrchestratorError):
    """The server answered with an error; `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UnreachableError(OrchestratorError):
    """The server did not answer."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run; the fields are those of the API."""

    id: str
    goal: str
    status: str
    reason: str
    workspace: str
    priority: str
    origin: str
    created_at: datetime
    agent: str | None = None
    provider: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: Mapping[str, Any] | None = None
    hold: str | None = None


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """An incident, as in a list."""

    id: str
    scenario: str
    severity: str
    status: str
    drill: bool
    title: str
    acknowledged_by: str
    detected_at: datetime
    assignee: str | None = None
    resolved_at: datetime | None = None


class CommandRequest(Protocol):
    """A command such as `Acknowledge()` or `CancelRun("wrong goal")`: see `orchestration.incidents.commands` and
    `orchestration.runs.commands`. Those for people all are such requests."""

    @property
    def api_method(self) -> str:
        """The HTTP method."""

    @property
    def api_path(self) -> str:
        """The path below the incident or run."""

    @property
    def api_body(self) -> Mapping[str, Any] | None:
        """The body as JSON values."""


# The name that this had while only incidents had commands.
IncidentRequest = CommandRequest


@dataclass(frozen=True, slots=True)
class DrillSessionRecord:
    """Drills that are under way; `current` is held now, `results` are those of the others that were."""

    id: str
    drills: Sequence[str]
    actor: str
    started_at: datetime
    current: str
    results: Sequence[Mapping[str, Any]]
    game_day: str = ""


@dataclass(frozen=True, slots=True)
class DrillResultRecord:
    """How a drill went; `misses` says what went otherwise than expected."""

    id: str
    drill: str
    scenario: str
    started_at: datetime
    passed: bool
    game_day: str
    figures: Mapping[str, Any]
    misses: Sequence[str]


@dataclass(frozen=True, slots=True)
class JobRunRecord:
    """A run of a job of maintenance; `outcome` is running, succeeded, failed or interrupted."""

    id: str
    job: str
    actor: str
    started_at: datetime
    outcome: str
    output: str
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened; `id` is its number on the timeline."""

    id: int
    kind: str
    at: datetime
    run_id: str | None
    agent: str | None
    actor: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A page of a list; `next` begins the following one."""

    items: Sequence[T]
    next: str | None


class Client:
    """Talks to one server. Every method raises RefusedError, NotFoundError, ConflictError or UsageError by what the
    server says, and UnreachableError where it says nothing."""

    def __init__(self, url: str, token: str | None = None, *, seconds: float = _SECONDS) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Checked here, because httpx2 would notice only at the first request.
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"expected a server's address such as https://host:8642, got '{url}'")
        self._http = httpx2.Client(base_url=url.rstrip("/") + _PREFIX, headers=headers, timeout=seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def status(self) -> Mapping[str, Any]:
        """What is going on: `isolation`, `runs`, `questions`, `providers`, `processes`, `control`."""
        return dict(self.get("/status"))

    def isolation(self) -> Mapping[str, Any]:
        """Whether the system is isolated: `isolated`, and `isolation` with since when, by whom and why."""
        return dict(self.get("/isolation"))

    def isolate(self, reason: str, incident: str | None = None) -> Mapping[str, Any]:
        """Isolate the system, for an incident perhaps; `changed` is false if it was isolated already."""
        return dict(self.send("POST", "/isolation", {"reason": reason, "incident": incident}))

    def lift_isolation(self, reason: str) -> Mapping[str, Any]:
        """Lift the isolation; `changed` is false if the system was not isolated."""
        return dict(self.send("POST", "/isolation/lift", {"reason": reason}))

    def runs(self, *, status: Sequence[str] = (), limit: int = 50, cursor: str | None = None) -> Listed[RunRecord]:
        """The newest runs first."""
        found = self.get("/runs", status=list(status), limit=limit, cursor=cursor)
        return Listed([_record(RunRecord, one) for one in found["items"]], found["next"])

    def all_runs(self, *, status: Sequence[str] = ()) -> Iterator[RunRecord]:
        """Every run, page by page."""
        # The largest page that the API gives.
        page = self.runs(status=status, limit=500)
        yield from page.items
        while page.next is not None:
            page = self.runs(status=status, limit=500, cursor=page.next)
            yield from page.items

    def run(self, run: str) -> RunRecord:
        """One run, by an identifier, a unique end of one, or `latest`."""
        return _record(RunRecord, self.get(f"/runs/{_part(run)}")["run"])

    def run_progress(self, run: str) -> Mapping[str, Any]:
        """What the agents of a run do now, for how long and with which text, and the steps of its plan."""
        progress: Mapping[str, Any] = self.get(f"/runs/{_part(run)}/progress")
        return progress

    def run_events(self, run: str, *, after: int = 0, limit: int = 500) -> Sequence[EventRecord]:
        """What has happened in a run so far, behind the event of that number."""
        found = self.get(f"/runs/{_part(run)}/events", after=after, limit=limit)
        return [_record(EventRecord, {"id": one["id"], **one["event"]}) for one in found]

    def artifacts(self, run: str) -> Sequence[Mapping[str, Any]]:
        """What a run has left: `name`, `size` and so on of each file."""
        return list(self.get(f"/runs/{_part(run)}")["artifacts"])

    def artifact(self, run: str, name: str) -> bytes:
        """One of these files."""
        # Its name may have folders in it.
        path = "/".join(_part(part) for part in name.split("/"))
        return self._request("GET", f"/runs/{_part(run)}/artifacts/{path}").content

    def start_run(self, goal: str, workspace: str, *, key: str | None = None, **options: Any) -> RunRecord:
        """Begin a run; `options` are the further fields of the API. Repeating it with the same `key` begins no second
        one."""
        body = {"goal": goal, "workspace": workspace, **options}
        return _record(RunRecord, self.send("POST", "/runs", body, key=key))

    def resume_run(self, run: str, *, rounds: int | None = None) -> RunRecord:
        """Go on with a run; `rounds` more of corrections where its reviewer still asks for changes."""
        body = None if rounds is None else {"rounds": rounds}
        return _record(RunRecord, self.send("POST", f"/runs/{_part(run)}/resume", body))

    def cancel_run(self, run: str, reason: str = "") -> RunRecord:
        """Stop a run."""
        return _record(RunRecord, self.send("POST", f"/runs/{_part(run)}/cancel", {"reason": reason}))

    def execute_on_run(self, run: str, command: CommandRequest, *, key: str | None = None) -> RunRecord:
        """Give a command: `client.execute_on_run("latest", CancelRun("wrong goal"))`; returns the run that goes on."""
        path = f"/runs/{_part(run)}/{command.api_path}"
        return _record(RunRecord, self.send(command.api_method, path, command.api_body, key=key))

    def approvals(self, subject: str | None = None) -> Sequence[Mapping[str, Any]]:
        """The questions that wait for an answer."""
        return list(self.get("/approvals", subject=subject))

    def decide(self, approval: str, decision: Literal["approved", "denied"], reason: str = "") -> Mapping[str, Any]:
        """Answer a question."""
        body = {"approval": approval, "decision": decision, "reason": reason}
        return dict(self.send("POST", "/approvals/decisions", body))

    def incidents(
        self,
        *,
        status: Sequence[str] = (),
        severity: Sequence[str] = (),
        open: bool | None = None,  # noqa: A002 (its name in the API)
        limit: int = 50,
        cursor: str | None = None,
    ) -> Listed[IncidentRecord]:
        """The newest incidents first."""
        found = self.get(
            "/incidents", status=list(status), severity=list(severity), open=open, limit=limit, cursor=cursor
        )
        return Listed([_record(IncidentRecord, one) for one in found["items"]], found["next"])

    def incident(self, incident: str) -> Mapping[str, Any]:
        """One incident: `incident`, `timeline`, `timers`, `sla`, `missing`."""
        return dict(self.get(f"/incidents/{_part(incident)}"))

    def declare(self, command: CommandRequest, *, key: str | None = None) -> IncidentRecord:
        """Declare an incident: `client.declare(Declare("the shop is down", impact="nobody can pay"))`. One of the same
        title and service that is open is added to, and returned."""
        return _record(IncidentRecord, self.send(command.api_method, "/incidents", command.api_body, key=key))

    def execute(self, incident: str, command: CommandRequest, *, key: str | None = None) -> IncidentRecord:
        """Give a command: `client.execute("latest", Resolve("restarted it"))`."""
        path = f"/incidents/{_part(incident)}/{command.api_path}"
        return _record(IncidentRecord, self.send(command.api_method, path, command.api_body, key=key))

    def act_on_incident(self, incident: str, act: str, **fields_: Any) -> IncidentRecord:
        """Give a command by its name in the API: `acknowledge`, `notes`, `resolve` and so on, with its fields."""
        return _record(IncidentRecord, self.send("POST", f"/incidents/{_part(incident)}/{_part(act)}", fields_ or None))

    def undo_action(self, incident: str, step: str) -> Mapping[str, Any]:
        """Undo what a playbook has done for an incident: the newest action of a step that can be undone."""
        return dict(self.send("POST", f"/incidents/{_part(incident)}/undo", {"step": step}))

    def review(self, incident: str) -> str:
        """The post-incident review so far, as Markdown."""
        return self._request("GET", f"/incidents/{_part(incident)}/review").text

    def review_suggestions(self, incident: str) -> Mapping[str, str]:
        """What the records say now for each part of the review."""
        return dict(self.get(f"/incidents/{_part(incident)}/review/suggestions"))

    def action_items(self) -> Sequence[Mapping[str, Any]]:
        """The open action items of all incidents."""
        return list(self.get("/action-items"))

    def heartbeats(self) -> Sequence[Mapping[str, Any]]:
        """What has to report that it is alive, and how it is."""
        return list(self.get("/heartbeats"))

    def drills(self) -> Sequence[Mapping[str, Any]]:
        """Every drill there is, with what it expects and its last result."""
        return list(self.get("/drills"))

    def begin_drills(self, *drills: str, game_day: str = "", key: str | None = None) -> DrillSessionRecord:
        """Begin to hold drills, by name or by scenario. Raises ConflictError while others are under way."""
        body = {"drills": list(drills), "game_day": game_day}
        return _record(DrillSessionRecord, self.send("POST", "/drills", body, key=key))

    def drills_under_way(self) -> DrillSessionRecord | None:
        """The drills that are held now; None when there are none."""
        found = self.get("/drills/under-way")
        return None if found is None else _record(DrillSessionRecord, found)

    def stop_drills(self) -> DrillSessionRecord:
        """Have the drills that are held now end."""
        return _record(DrillSessionRecord, self.send("DELETE", "/drills/under-way"))

    def drill_results(self, drill: str | None = None, limit: int = 50) -> Sequence[DrillResultRecord]:
        """How drills went, the newest first."""
        return [_record(DrillResultRecord, one) for one in self.get("/drill-results", drill=drill, limit=limit)]

    def maintenance_jobs(self) -> Sequence[Mapping[str, Any]]:
        """The jobs of maintenance, when each is due, and its last run."""
        return list(self.get("/maintenance/jobs"))

    def run_job(self, job: str, *, key: str | None = None) -> JobRunRecord:
        """Begin a job now; `job_runs` tells how it comes out."""
        return _record(JobRunRecord, self.send("POST", f"/maintenance/jobs/{_part(job)}/run", key=key))

    def job_runs(self, job: str | None = None, limit: int = 50) -> Sequence[JobRunRecord]:
        """The last runs of jobs, the newest first."""
        return [_record(JobRunRecord, one) for one in self.get("/maintenance/runs", job=job, limit=limit)]

    def events(
        self, *, after: int | None = None, run: str | None = None, kinds: Sequence[str] = ()
    ) -> Iterator[EventRecord]:
        """What happens from now on, or since an event; until the server stops. Go on behind the last one's `id`."""
        query = _query({"after": after, "run": run, "kind": list(kinds)})
        # The server sends a comment when there is nothing else to send, so a silence of this length means that it is
        # gone.
        patient = httpx2.Timeout(_SECONDS, read=2 * _SECONDS)
        try:
            with self._http.stream("GET", "/events", params=query, timeout=patient) as response:
                if response.status_code != 200:
                    # The body of a streamed response has to be read before it can be decoded
                    # (https://www.python-httpx.org/quickstart/#streaming-responses).
                    response.read()
                    raise _error(response)
                yield from _events(response.iter_lines())
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error

    def get(self, path: str, **query: Any) -> Any:
        """What is at an address of the API; queries that are None are left out."""
        return self._ask("GET", path, params=_query(query))

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None) -> Any:
        """Have something done; with an idempotency key, so that a repetition does it once."""
        # Always with a key: whoever repeats a request whose answer was lost must not start a second run.
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return self._ask(method, path, json=body, headers=headers)

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        response = self._request(method, path, **more)
        return response.json() if response.content else None

    def _request(self, method: str, path: str, **more: Any) -> httpx2.Response:
        try:
            response = self._http.request(method, path, **more)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        # A redirect is an error too: a request with a token is not repeated at an address that nobody chose.
        if response.status_code >= 300:
            raise _error(response)
        return response

    def _unreachable(self, error: httpx2.HTTPError) -> UnreachableError:
        return UnreachableError(
            f"expected an answer from {self._http.base_url}, got none: {str(error) or type(error).__name__}; "
            "see that `orchestrator serve` runs there"
        )


def _events(lines: Iterator[str]) -> Iterator[EventRecord]:
    found: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            found[name] = value.removeprefix(" ")
        elif "data" in found:
            # A comment that keeps the connection open ends with an empty line as well, but has no data.
            yield _record(EventRecord, {"id": int(found["id"]), **json.loads(found["data"])})
            found = {}


def _error(response: httpx2.Response) -> OrchestratorError:
    try:
        detail = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        # A proxy or another program answers there, and its page is no use as a message.
        detail = f"expected an answer of the API, got {response.status_code}; is that the address of a server?"
    kind = _ERRORS.get(response.status_code)
    return kind(detail) if kind else RefusedError(detail, response.status_code)


def _record(kind: type[T], data: Mapping[str, Any]) -> T:
    """The fields that the record has; what a newer server adds is left out."""
    hints = get_type_hints(kind)
    values = {field.name: data[field.name] for field in fields(kind) if field.name in data}  # type: ignore[arg-type]
    moments = {
        name: datetime.fromisoformat(value)
        for name, value in values.items()
        if hints[name] in (datetime, datetime | None) and isinstance(value, str)
    }
    return kind(**{**values, **moments})


def _query(values: Mapping[str, Any]) -> dict[str, Any]:
    # `str(True)` is not what the API reads as a boolean.
    plain = {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
    return {name: value for name, value in plain.items() if value is not None and value != []}


def _part(text: str) -> str:
    """A part of a path. Raises UsageError for what would be several."""
    # An identifier comes from the command line; with a slash in it the request would go to another address.
    if not text or any(character in "/?#%\\" or not character.isprintable() for character in text):
        raise UsageError(f"expected a name or an identifier, got '{text[:64]}'")
    return text
