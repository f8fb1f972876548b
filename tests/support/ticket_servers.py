"""Servers of the shapes of GitHub's and Jira's REST APIs, as far as tickets are concerned. They keep tickets, and check
what the vendors document: https://docs.github.com/en/rest/issues/issues,
https://developer.atlassian.com/cloud/jira/platform/rest/v2/intro/."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

LAST_CHANGED = "2026-03-04T12:00:00Z"


@dataclass
class KeptTicket:
    """A ticket, as people see it."""

    number: int
    title: str
    text: str
    labels: list[str]
    assignees: list[str]
    comments: list[str] = field(default_factory=list)
    open: bool = True
    reason: str | None = None
    deleted: bool = False


Reply = tuple[int, Any, Mapping[str, str]]


class TicketServer:
    """What both have in common. `replies` are given one after the other, instead of doing what was asked; the requests
    whose numbers are in `lost` are carried out, and their answers lost; while it is `down` it answers 503."""

    user = "bot@example.org"

    def __init__(self) -> None:
        self.token = "t0ken-of-the-bot"
        self.people = {"ada", "grace"}
        self.tickets: list[KeptTicket] = []
        self.replies: list[Reply] = []
        self.lost: set[int] = set()
        self.down = False
        self.requests: list[tuple[str, str]] = []
        self.url = ""
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        raise NotImplementedError

    def answer(self, method: str, path: str, query: Mapping[str, str], data: Any) -> Reply:
        raise NotImplementedError

    def is_known(self, authorization: str) -> bool:
        return authorization == f"Bearer {self.token}"

    def handle(self, method: str, target: str, authorization: str, body: bytes) -> Reply | None:
        """The answer to a request; None where it is lost."""
        with self._lock:
            self.requests.append((method, target))
            number = len(self.requests) - 1
            if self.down:
                return 503, {"message": "down for maintenance"}, {}
            if self.replies:
                return self.replies.pop(0)
            if not self.is_known(authorization):
                return 401, {"message": "Bad credentials"}, {}
            parts = urlsplit(target)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            reply = self.answer(method, parts.path, query, json.loads(body) if body else None)
            return None if number in self.lost else reply

    def kept(self, number: str) -> KeptTicket | None:
        return next((one for one in self.tickets if one.number == int(number) and not one.deleted), None)


class GithubServer(TicketServer):
    """GitHub, with one repository."""

    address = "acme/shop"

    def settings(self) -> dict[str, Any]:
        return {"type": "github-issues", "url": self.url}

    def answer(self, method: str, path: str, query: Mapping[str, str], data: Any) -> Reply:
        if (method, path) == ("GET", "/repos/acme/shop"):
            return 200, {"full_name": "acme/shop", "has_issues": True}, {}
        if (found := re.fullmatch(r"/repos/acme/shop/issues(?:/(\d+))?(/comments)?", path)) is None:
            return 404, {"message": "Not Found"}, {}
        if found[1] is None:
            return self._make(data) if method == "POST" else self._list(query)
        issue = self.kept(found[1])
        if issue is None:
            return 410, {"message": "This issue was deleted"}, {}
        if found[2]:
            return self._comments(issue, method, query, data)
        if "state" in data:
            issue.open, issue.reason = data["state"] == "open", data.get("state_reason")
        return 200, self._issue(issue), {}

    def _make(self, data: Any) -> Reply:
        unknown = set(data.get("assignees", ())) - self.people
        if not data.get("title") or len(data["title"]) > 256 or len(data["body"]) > 65_536 or unknown:
            errors = [{"resource": "Issue", "field": "assignees", "code": "invalid", "value": sorted(unknown)}]
            return 422, {"message": "Validation Failed", "errors": errors}, {}
        number = len(self.tickets) + 1
        self.tickets.append(KeptTicket(number, data["title"], data["body"], data["labels"], data["assignees"]))
        return 201, self._issue(self.tickets[-1]), {}

    def _list(self, query: Mapping[str, str]) -> Reply:
        shown = [one for one in self.tickets if not one.deleted and query["since"] <= LAST_CHANGED]
        if query.get("state") != "all":
            shown = [one for one in shown if one.open]
        return 200, [self._issue(one) for one in _page(shown, query)], {}

    def _comments(self, issue: KeptTicket, method: str, query: Mapping[str, str], data: Any) -> Reply:
        if method == "POST":
            issue.comments.append(data["body"])
            return 201, {"id": len(issue.comments), "body": data["body"]}, {}
        return 200, [{"body": one} for one in _page(issue.comments, query)], {}

    def _issue(self, one: KeptTicket) -> dict[str, Any]:
        page = f"{self.url}/acme/shop/issues/{one.number}"
        state = "open" if one.open else "closed"
        return {"number": one.number, "title": one.title, "body": one.text, "state": state, "html_url": page}


class JiraServer(TicketServer):
    """Jira, with one project: Cloud, or Data Center."""

    address = "OPS"

    def __init__(self, *, cloud: bool = True) -> None:
        super().__init__()
        self.cloud = cloud

    def settings(self) -> dict[str, Any]:
        return {"type": "jira", "url": self.url, **({"username": self.user} if self.cloud else {})}

    def is_known(self, authorization: str) -> bool:
        basic = base64.b64encode(f"{self.user}:{self.token}".encode()).decode()
        return authorization == (f"Basic {basic}" if self.cloud else f"Bearer {self.token}")

    def answer(self, method: str, path: str, query: Mapping[str, str], data: Any) -> Reply:
        path = path.removeprefix("/rest/api/2")
        if path == "/project/OPS":
            return 200, {"key": "OPS"}, {}
        if path in ("/search", "/search/jql"):
            gone = (path == "/search") == self.cloud
            return (410 if self.cloud else 404, {}, {}) if gone else self._search(data)
        if (method, path) == ("POST", "/issue"):
            return self._make(data["fields"])
        found = re.fullmatch(r"/issue/OPS-(\d+)(/comment|/transitions)?", path)
        issue = self.kept(found[1]) if found else None
        if found is None or issue is None:
            return 404, {"errorMessages": ["Issue does not exist or you do not have permission to see it."]}, {}
        return self._about(issue, found[2] or "", method, data)

    def _search(self, data: Any) -> Reply:
        asked = re.fullmatch(r'project = "OPS" AND labels = "([\w-]+)"', data["jql"])
        assert asked is not None, data["jql"]
        found = [one for one in self.tickets if asked[1] in one.labels and not one.deleted]
        return (
            200,
            {"issues": [{"id": str(one.number), "key": f"OPS-{one.number}"} for one in found], "isLast": True},
            {},
        )

    def _make(self, fields: Any) -> Reply:
        wanted = fields.get("assignee", {})
        named = wanted.get("id" if self.cloud else "name")
        errors = (
            {"assignee": f"User '{named}' cannot be assigned issues."} if wanted and named not in self.people else {}
        )
        if not fields["summary"] or "\n" in fields["summary"] or len(fields["summary"]) > 255:
            errors["summary"] = "Summary must be one line of at most 255 characters."
        if any(" " in label for label in fields["labels"]):
            errors["labels"] = "The label can't contain spaces."
        if errors:
            return 400, {"errorMessages": [], "errors": errors}, {}
        number = len(self.tickets) + 1
        text, labels = fields["description"], fields["labels"]
        self.tickets.append(KeptTicket(number, fields["summary"], text, labels, [named] if named else []))
        return 201, {"id": str(number), "key": f"OPS-{number}", "self": f"{self.url}/rest/api/2/issue/{number}"}, {}

    def _about(self, issue: KeptTicket, what: str, method: str, data: Any) -> Reply:
        status = {False: ("Done", "done"), True: ("To Do", "new")}
        if what == "/comment" and method == "POST":
            issue.comments.append(data["body"])
            return 201, {"id": "1", "body": data["body"]}, {}
        if what == "/comment":
            return 200, {"comments": [{"body": one} for one in reversed(issue.comments)]}, {}
        if what == "/transitions" and method == "POST":
            issue.open = data["transition"]["id"] != "31"
            return 204, None, {}
        if what == "/transitions":
            to = {"21": status[True], "31": status[False], "41": status[False]}
            return (
                200,
                {
                    "transitions": [
                        {"id": one, "name": name, "to": _status(name, key)} for one, (name, key) in to.items()
                    ]
                },
                {},
            )
        return 200, {"key": f"OPS-{issue.number}", "fields": {"status": _status(*status[issue.open])}}, {}


def _status(name: str, key: str) -> dict[str, Any]:
    return {"name": name, "statusCategory": {"key": key}}


def _page(all_of_them: list[Any], query: Mapping[str, str]) -> list[Any]:
    size = int(query.get("per_page", "30"))
    first = (int(query.get("page", "1")) - 1) * size
    return all_of_them[first : first + size]


@contextmanager
def ticket_server(make: Callable[[], TicketServer]) -> Iterator[TicketServer]:
    """A running server."""
    tickets = make()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            reply = tickets.handle(self.command, self.path, self.headers.get("authorization", ""), body)
            if reply is None:
                self.close_connection = True
                return
            status, data, headers = reply
            answer = b"" if data is None else json.dumps(data).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_PATCH = do_POST  # noqa: N815 (the names of the standard library)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        tickets.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield tickets
        finally:
            server.shutdown()
            thread.join()
