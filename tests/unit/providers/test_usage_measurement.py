"""The figures of a request for quota: from events of calls, compared with figures that were counted otherwise."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.providers.settings import ProviderSettings
from orchestration.playbooks.actions.quota_request import quota_request
from orchestration.providers.usage_measurement import ProviderRequest, measure

START = datetime(2026, 11, 29, 8, 59, 30, tzinfo=UTC)


def request(seconds: float, outcome: str = "ok", tokens: int = 0, model: str = "m") -> ProviderRequest:
    return ProviderRequest(START + timedelta(seconds=seconds), model, outcome, tokens)


def test_a_used_up_quota_is_described_by_peak_average_hours_and_beginning() -> None:
    served = [request(second, tokens=100) for second in (0, 10, 40, 41, 42, 100)]
    refused = [request(3600, "quota"), request(3700, "ok", 50), request(7300, "rate_limited"), request(7900, "quota")]
    (usage,) = measure([*served, *refused])
    assert (usage.requests, usage.tokens, usage.active_minutes) == (10, 650, 7)
    assert (usage.peak_requests.count, f"{usage.peak_requests.at:%H:%M}") == (3, "09:00")
    assert (usage.peak_tokens.count, f"{usage.peak_tokens.at:%H:%M}") == (300, "09:00")
    assert (usage.refused, usage.hours_at_limit) == (3, 2)
    assert usage.at_limit_since == START + timedelta(seconds=7300)
    settings = ProviderSettings.model_validate({"type": "azure", "endpoint": "https://lab.openai.azure.com"})
    text = quota_request("azure", settings, [usage], {"m": {"limit-requests": 60.0, "remaining-requests": 0.0}})
    assert text.splitlines() == [
        "Please raise our quota at azure (https://lab.openai.azure.com).",
        "Model m, measured from 2026-11-29 08:59 UTC to 2026-11-29 11:11 UTC:",
        "- requests: 10; average 1.4 a minute in 7 minutes with requests, peak 3 at 2026-11-29 09:00 UTC",
        "- tokens: 650; average 93 a minute, peak 300 at 2026-11-29 09:00 UTC",
        "- refused for the limit: 3 requests, in 2 different hours",
        "- at the limit without a break since 2026-11-29 11:01 UTC",
        "- limits as the provider last reported them: limit requests 60, remaining requests 0",
    ]


def test_without_records_the_request_says_so() -> None:
    text = quota_request("own", ProviderSettings.model_validate({"tokensPerMinute": 5}), [], {})
    assert "No call to it is on record in the last seven days." in text
    assert text.endswith("Limit on our side: 5 tokens a minute.")


OUTCOMES = st.sampled_from(["ok", "quota", "rate_limited", "timeout", "unreachable"])
REQUESTS = st.lists(
    st.builds(request, st.integers(0, 20_000), OUTCOMES, st.integers(0, 9_000), st.sampled_from("ab")), min_size=1
)


@given(REQUESTS)
def test_the_figures_add_up_in_any_order(requests: list[ProviderRequest]) -> None:
    found = measure(requests)
    assert found == measure(requests[::-1]) or len({one.at for one in requests}) < len(requests)
    assert sum(usage.requests for usage in found) == len(requests)
    for usage in found:
        minutes: defaultdict[str, int] = defaultdict(int)
        for one in requests:
            if one.model == usage.model:
                minutes[f"{one.at:%H:%M}"] += 1
        assert usage.peak_requests.count == max(minutes.values())
        assert usage.peak_requests.count >= usage.average_requests >= 1
        assert usage.peak_tokens.count * usage.active_minutes >= usage.tokens
        assert usage.since <= usage.until
        assert usage.at_limit_since is None or usage.refused > 0
