"""Every kind of channel has a whole descriptor, and one that its vendor's limits are in."""

from __future__ import annotations

import pytest

from orchestration.clock import SystemClock
from orchestration.config.channels.kinds import SHIPPED_CHANNELS
from orchestration.config.channels.settings import ChannelSettings
from orchestration.domain.channel_kind import ChannelKind
from orchestration.notifications.channels import ChannelContext, DeliveryError
from orchestration.notifications.channels.registry import make_channel
from orchestration.notifications.notice import NoticeKind
from orchestration.notifications.recipients import carries


def context(**settings: object) -> ChannelContext:
    return ChannelContext(ChannelSettings.model_validate(settings), {"SECRET": "s3cret"}, SystemClock())


def test_there_is_one_descriptor_for_each_kind() -> None:
    assert set(SHIPPED_CHANNELS) == set(ChannelKind)


@pytest.mark.parametrize("kind", ChannelKind)
async def test_every_kind_can_be_made_from_its_descriptor(kind: ChannelKind) -> None:
    channel = make_channel(context(type=kind.value))
    await channel.aclose()


@pytest.mark.parametrize("kind", ChannelKind)
def test_every_key_of_a_descriptor_is_a_key_of_the_settings(kind: ChannelKind) -> None:
    keys = {field.alias for field in ChannelSettings.model_fields.values()}
    descriptor = SHIPPED_CHANNELS[kind]
    assert {*descriptor.required, *descriptor.optional, *descriptor.secrets} <= keys


def test_what_is_missing_is_said_by_key_and_an_address_in_the_file_is_as_good_as_a_variable() -> None:
    mail, hook = SHIPPED_CHANNELS[ChannelKind.EMAIL], SHIPPED_CHANNELS[ChannelKind.WEBHOOK]
    assert mail.missing(ChannelSettings(type="email", sender="a@example.org")) == ("host",)
    assert hook.missing(ChannelSettings(type="webhook")) == ("urlEnv",)
    assert hook.missing(ChannelSettings(type="webhook", url="https://example.org")) == ()


def test_reports_and_reminders_go_only_where_they_cannot_be_mistaken_for_alerts() -> None:
    def channels(kind: NoticeKind) -> set[str]:
        return {name for name in ChannelKind if carries(ChannelSettings(type=name), kind)}

    assert set(ChannelKind) - channels(NoticeKind.REPORT) == {
        "alertmanager", "pagerduty", "github-issues", "jira",
    }  # fmt: skip
    assert set(ChannelKind) - channels(NoticeKind.REMINDER) == {"alertmanager", "github-issues", "jira"}
    assert channels(NoticeKind.INITIAL) == set(ChannelKind)


def test_a_secret_that_is_not_there_is_named_by_its_variable_or_its_key() -> None:
    with pytest.raises(DeliveryError, match=r"OTHER is not set; put OTHER=… into \.env"):
        context(type="webhook", secretEnv="OTHER").secret("secretEnv")
    with pytest.raises(DeliveryError, match='"urlEnv" is not set'):
        context(type="webhook").url()
    assert context(type="webhook", url="https://a", urlEnv="SECRET").url() == "s3cret", "the variable comes first"
