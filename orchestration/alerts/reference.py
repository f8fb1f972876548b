"""Reference pages written from the code: the default rules, and the sources of alerts. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from orchestration.alerts.defaults import default_rules
from orchestration.alerts.rules import AlertRule
from orchestration.alerts.source import AlertSource
from orchestration.alerts.text_templates import number
from orchestration.config.alerting import Aggregate
from orchestration.config.matchers import Matcher
from orchestration.config.monitoring import Thresholds
from orchestration.domain.scenario import Scenario

_PAGE = """# Alert rules

These rules are in force without any configuration. Each may be changed in `alerting.rules` of the configuration file,
or switched off with `"enabled": false`; a rule under a new name is one of your own:

```json
"alerting": {
  "rules": {
    "cpu-high": { "threshold": 80, "hold": 120 },
    "backup-old": { "enabled": false },
    "queue-long": {
      "signal": "queue_length", "scenario": "workflow-stuck", "threshold": 100, "comparison": ">",
      "by": ["queue"], "subject": "{queue}", "title": "Queue {queue} holds {value}"
    }
  }
}
```

`hold` is how long the condition must last before the alert fires; `keepFiring` is how long it must be gone before the
alert is resolved. Times are in seconds. The severity is derived from the alert's facts, never from its text.
"""


def sources_table(sources: Iterable[AlertSource]) -> str:
    """The table of alert sources, one row each, in Markdown."""
    rows = [f"| `POST {source.route}` | {_described(source)} |" for source in sources]
    return "\n".join(["| endpoint | sender |", "| --- | --- |", *rows])


def _described(source: AlertSource) -> str:
    return f"[{source.summary}]({source.documentation})" if source.documentation else source.summary


def rules_page() -> str:
    """The page, in Markdown."""
    rules = tuple(default_rules(Thresholds()))
    return "\n".join(
        [
            _PAGE,
            *(_section(scenario, rules) for scenario in Scenario if any(rule.scenario is scenario for rule in rules)),
        ]
    )


def _section(scenario: Scenario, rules: tuple[AlertRule, ...]) -> str:
    rows = [f"| `{rule.name}` | {_condition(rule)} | {_times(rule)} |" for rule in rules if rule.scenario is scenario]
    head = "| rule | fires when | hold, keepFiring |\n| --- | --- | --- |"
    return f"## {scenario.value}\n\n{head}\n" + "\n".join(rows) + "\n"


def _condition(rule: AlertRule) -> str:
    limit = number(rule.threshold, share=rule.aggregate is Aggregate.SHARE)
    chosen = _matchers(" where", rule.where) + _matchers(" counting", rule.match)
    if rule.aggregate is Aggregate.ABSENT:
        return f"no `{rule.signal}`{chosen} for {number(rule.window)} s{_by(rule)}"
    last = "" if rule.last is None else f", of the last {rule.last}"
    window = f" over {number(rule.window)} s{last}{_by(rule)}"
    return f"{rule.aggregate.value} of `{rule.signal}`{chosen} {rule.comparison.value} {limit}{window}"


def _matchers(word: str, matchers: tuple[Matcher, ...]) -> str:
    """In a table a bar must be escaped, even within code."""
    shown = ", ".join(f"`{matcher}`" for matcher in matchers).replace("|", "\\|")
    return f"{word} {shown}" if shown else ""


def _by(rule: AlertRule) -> str:
    return f", for each {', '.join(rule.by)}" if rule.by else ""


def _times(rule: AlertRule) -> str:
    return f"{number(rule.hold)} s, {number(rule.keep_firing)} s"
