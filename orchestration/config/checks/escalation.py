"""Escalation paths and their routes: every path is reached, and pages somebody. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.document import JsonPath
from orchestration.config.escalation import DEFAULT_PATH, EscalationRoute
from orchestration.config.findings import FindingCode
from orchestration.config.matchers import Matcher, parse_matcher, parse_matchers
from orchestration.config.problems import Problem, suggest
from orchestration.config.schema import Configuration
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import UsageError

_PATHS: JsonPath = ("response", "escalationPaths")
_ROUTES: JsonPath = ("response", "escalationRoutes")


def check(configuration: Configuration, _environment: CheckEnvironment) -> Iterator[Problem]:
    """Check the routes, and whether each path is reached and has levels."""
    response = configuration.response
    named = {route.path for route in response.escalation_routes}
    for name, path in response.escalation_paths.items():
        if name == DEFAULT_PATH:
            hint = "Describe it in response.escalation, or choose another name."
            yield Problem(FindingCode.RESERVED_NAME, (*_PATHS, name), f'"{name}" is a reserved name', hint=hint)
        elif name not in named:
            hint = "Add a route to response.escalationRoutes, or remove the path."
            message = f'no route leads to the escalation path "{name}"; only a person can choose it for an incident'
            yield Problem(FindingCode.UNREACHABLE_PATH, (*_PATHS, name), message, hint=hint)
        if not path.levels:
            message = f'the escalation path "{name}" has no levels: after the first page nobody else is paged'
            yield Problem(FindingCode.EMPTY_PATH, (*_PATHS, name), message, hint='Give it "levels".')
    yield from _check_routes(response.escalation_routes, [DEFAULT_PATH, *response.escalation_paths])


def _check_routes(routes: Sequence[EscalationRoute], known: Sequence[str]) -> Iterator[Problem]:
    earlier: list[tuple[int, _Conditions]] = []
    for index, route in enumerate(routes):
        path = (*_ROUTES, index)
        if route.path not in known:
            hint, message = suggest(route.path, known), f'there is no escalation path "{route.path}"'
            yield Problem(FindingCode.UNKNOWN_PATH, (*path, "path"), message, hint=hint)
        problems = list(_check_matchers(route, path))
        yield from problems
        if problems:
            continue
        conditions = _Conditions(route, parse_matchers(route.matchers))
        yield from _check_reach(conditions, earlier, path)
        earlier.append((index, conditions))


def _check_matchers(route: EscalationRoute, path: JsonPath) -> Iterator[Problem]:
    for place, text in enumerate(route.matchers):
        try:
            parse_matcher(text)
        except UsageError as error:
            yield Problem(FindingCode.BAD_MATCHER, (*path, "matchers", place), str(error))


@dataclass(frozen=True, slots=True)
class _Conditions:
    route: EscalationRoute
    matchers: tuple[Matcher, ...]

    @property
    def contradict(self) -> bool:
        """Whether a label would need two values."""
        wanted = {one.name: one.value for one in self.matchers if one.operator == "="}
        return any(one.name in wanted and not one.fits({one.name: wanted[one.name]}) for one in self.matchers)

    def cover(self, other: _Conditions) -> bool:
        """Whether everything that the other conditions match is matched by these as well, as far as can be told."""
        severities = set(other.route.severities or Severity) <= set(self.route.severities or Severity)
        scenarios = set(other.route.scenarios or Scenario) <= set(self.route.scenarios or Scenario)
        return severities and scenarios and all(other._imply(one) for one in self.matchers)

    def _imply(self, matcher: Matcher) -> bool:
        values = [one.value for one in self.matchers if one.name == matcher.name and one.operator == "="]
        return matcher in self.matchers or any(matcher.fits({matcher.name: value}) for value in values)


def _check_reach(
    conditions: _Conditions, earlier: Sequence[tuple[int, _Conditions]], path: JsonPath
) -> Iterator[Problem]:
    if conditions.contradict:
        message, hint = "this route can never match: its matchers contradict each other", "Remove one of them."
        yield Problem(FindingCode.UNREACHABLE_PATH, path, message, hint=hint)
        return
    by = next((index for index, one in earlier if one.cover(conditions)), None)
    if by is not None:
        message = f"this route can never match: escalationRoutes[{by}] matches all that it does, and comes first"
        yield Problem(FindingCode.UNREACHABLE_PATH, path, message, hint="Put the narrower route first.")
