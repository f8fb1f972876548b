"""The registry of vendors of credentials: those that ship with the product, and users' own.

To add one to the product, add a descriptor here, and a class in `security/vendors` where the vendor documents a call. A
user's package names its descriptor under the entry point `orchestration.revokers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from types import MappingProxyType

from orchestration import logs
from orchestration.config.vendors.descriptor import RevocationPage, VendorDescriptor
from orchestration.config.vendors.options import (
    AdminKeyOptions,
    AwsRevokerOptions,
    AzureRevokerOptions,
    GitHubRevokerOptions,
    OptionalAdminKeyOptions,
)
from orchestration.plugins import PluginError, plugin_registry

GROUP = "orchestration.revokers"
# With a full stop in it, as the names of a user's own actions have, so that no vendor that we ship later can take it.
OWN_VENDOR = re.compile(r"[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*")
_MODULES = "orchestration.security.vendors"
# When the pages of the vendors were last read.
_READ = date(2026, 11, 29)
_log = logs.get_logger("revokers")


def _page(url: str, steps: str, source: str) -> RevocationPage:
    return RevocationPage(url, steps, source, _READ)


_SHIPPED = (
    VendorDescriptor(
        "anthropic",
        "Anthropic",
        _page(
            "https://platform.claude.com/settings/keys",
            "Settings, API keys, the key's menu, Disable or Delete",
            "https://platform.claude.com/docs/en/manage-claude/admin-api",
        ),
        ("anthropic-key",),
        "https://api.anthropic.com",
        f"{_MODULES}.anthropic:AnthropicKeys",
        revokes=True,
        options=AdminKeyOptions,
    ),
    VendorDescriptor(
        "aws",
        "Amazon Web Services",
        _page(
            "https://console.aws.amazon.com/iam/home#/security_credentials",
            "IAM, Users, the user, Security credentials, Access keys, Actions, Deactivate, then Delete",
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html",
        ),
        ("aws-access-key", "aws-secret-key"),
        "https://iam.amazonaws.com",
        f"{_MODULES}.aws:AwsAccessKeys",
        revokes=True,
        options=AwsRevokerOptions,
    ),
    VendorDescriptor(
        "azure",
        "Azure OpenAI and AI services",
        _page(
            "https://portal.azure.com/#browse/Microsoft.CognitiveServices%2Faccounts",
            "the resource, Resource Management, Keys and Endpoint, Regenerate Key1 or Key2",
            "https://learn.microsoft.com/azure/ai-services/rotate-keys",
        ),
        (),
        "https://management.azure.com",
        f"{_MODULES}.azure:AzureAccountKeys",
        revokes=True,
        options=AzureRevokerOptions,
    ),
    VendorDescriptor(
        "azure-storage",
        "Azure Storage and Service Bus",
        _page(
            "https://portal.azure.com/",
            "the storage account or namespace, Access keys or Shared access policies, Rotate key",
            "https://learn.microsoft.com/azure/storage/common/storage-account-keys-manage",
        ),
        ("azure-key",),
    ),
    VendorDescriptor(
        "github",
        "GitHub",
        _page(
            "https://github.com/settings/tokens",
            "Settings, Developer settings, Personal access tokens, Delete; for apps: Applications, Revoke",
            "https://docs.github.com/rest/credentials/revoke",
        ),
        ("github-token",),
        "https://api.github.com",
        f"{_MODULES}.github:GitHubTokens",
        revokes=True,
        options=GitHubRevokerOptions,
    ),
    VendorDescriptor(
        "gitlab",
        "GitLab",
        _page(
            "https://gitlab.com/-/user_settings/personal_access_tokens",
            "Edit profile, Access, Personal access tokens, Revoke",
            "https://docs.gitlab.com/api/personal_access_tokens/#self-revoke",
        ),
        ("gitlab-token",),
        "https://gitlab.com",
        f"{_MODULES}.gitlab:GitLabTokens",
        revokes=True,
    ),
    VendorDescriptor(
        "google",
        "Google OAuth tokens",
        _page(
            "https://myaccount.google.com/connections",
            "Third-party apps and services, the app, Delete all connections",
            "https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke",
        ),
        ("google-token",),
        "https://oauth2.googleapis.com",
        f"{_MODULES}.google:GoogleTokens",
        revokes=True,
    ),
    VendorDescriptor(
        "google-api-key",
        "Google API keys",
        _page(
            "https://console.cloud.google.com/apis/credentials",
            "APIs and services, Credentials, the key, Delete or Regenerate",
            "https://cloud.google.com/docs/authentication/api-keys",
        ),
        ("google-api-key",),
        "https://generativelanguage.googleapis.com",
        f"{_MODULES}.google:GoogleApiKeys",
    ),
    VendorDescriptor(
        "huggingface",
        "Hugging Face",
        _page(
            "https://huggingface.co/settings/tokens",
            "Access Tokens, the token's menu, Invalidate and refresh, or Delete",
            "https://huggingface.co/docs/hub/security-tokens",
        ),
        ("huggingface-token",),
        "https://huggingface.co",
        f"{_MODULES}.bearer:HuggingFaceTokens",
    ),
    VendorDescriptor(
        "npm",
        "npm",
        _page(
            "https://www.npmjs.com/settings/~/tokens",
            "Access Tokens, select the token, Delete Selected Tokens; it can take an hour",
            "https://docs.npmjs.com/revoking-access-tokens",
        ),
        ("npm-token",),
        # A token belongs to one registry, of which there are many: `baseUrl` names it.
        factory=f"{_MODULES}.bearer:NpmTokens",
    ),
    VendorDescriptor(
        "openai",
        "OpenAI",
        _page(
            "https://platform.openai.com/api-keys",
            "API keys, the key's row, Revoke key",
            "https://developers.openai.com/api/reference/resources/organization",
        ),
        ("openai-key",),
        "https://api.openai.com/v1",
        f"{_MODULES}.openai:OpenAiKeys",
        revokes=True,
        options=AdminKeyOptions,
    ),
    VendorDescriptor(
        "pypi",
        "PyPI",
        _page(
            "https://pypi.org/manage/account/token/",
            "Account settings, API tokens, Options, Remove token",
            "https://pypi.org/help/#apitoken",
        ),
        ("pypi-token",),
    ),
    VendorDescriptor(
        "sendgrid",
        "SendGrid",
        _page(
            "https://app.sendgrid.com/settings/api_keys",
            "Settings, API Keys, the key's menu, Delete API Key",
            "https://www.twilio.com/docs/sendgrid/api-reference/api-keys/delete-api-keys",
        ),
        ("sendgrid-key",),
        "https://api.sendgrid.com",
        f"{_MODULES}.sendgrid:SendGridKeys",
        revokes=True,
        options=OptionalAdminKeyOptions,
    ),
    VendorDescriptor(
        "slack",
        "Slack",
        _page(
            "https://api.slack.com/apps",
            "the app, OAuth and Permissions, Revoke Tokens",
            "https://docs.slack.dev/reference/methods/auth.revoke",
        ),
        ("slack-token",),
        "https://slack.com/api",
        f"{_MODULES}.slack:SlackTokens",
        revokes=True,
    ),
    VendorDescriptor(
        "slack-webhook",
        "Slack webhooks",
        _page(
            "https://api.slack.com/apps",
            "the app, Incoming Webhooks, the row of the address, Remove",
            "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
        ),
        ("slack-webhook",),
    ),
    VendorDescriptor(
        "stripe",
        "Stripe",
        _page(
            "https://dashboard.stripe.com/apikeys",
            "Developers, API keys, the key's menu, Rotate key, expiring now",
            "https://docs.stripe.com/keys#rolling-keys",
        ),
        ("stripe-key",),
        "https://api.stripe.com",
        f"{_MODULES}.bearer:StripeKeys",
    ),
    VendorDescriptor(
        "teams-webhook",
        "Microsoft Teams webhooks",
        _page(
            "https://teams.microsoft.com/",
            "the channel's menu, Manage channel or Workflows, the webhook, Delete",
            "https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook",
        ),
        ("teams-webhook",),
    ),
)
SHIPPED_VENDORS = MappingProxyType({descriptor.name: descriptor for descriptor in _SHIPPED})


def vendors() -> Iterator[VendorDescriptor]:
    """Every vendor, users' own first: a kind of secret that both claim is theirs."""
    yield from own_vendors().usable
    yield from SHIPPED_VENDORS.values()


def find_vendor(name: str) -> VendorDescriptor | None:
    """The descriptor of a vendor; None where no package that can be used has it.

    Nothing of a user's is imported until one of their vendors is asked for.
    """
    shipped = SHIPPED_VENDORS.get(name)
    if shipped is not None:
        return shipped
    return next((descriptor for descriptor in own_vendors().usable if descriptor.name == name), None)


def vendor_of_kind(kind: str) -> VendorDescriptor | None:
    """The vendor whose credentials look like this kind of secret; None for kinds that many vendors share."""
    return next((descriptor for descriptor in vendors() if kind in descriptor.kinds), None)


def _validate(found: object) -> VendorDescriptor:
    if not isinstance(found, VendorDescriptor):
        raise PluginError(f"it names {found!r}, which is not a VendorDescriptor")
    if not OWN_VENDOR.fullmatch(found.name):
        raise PluginError(f"its name '{found.name}' is not of the form own.vault")
    if found.factory is not None and ":" not in found.factory:
        raise PluginError(f"its factory '{found.factory}' is not of the form module:class")
    return found


own_vendors = plugin_registry(
    GROUP, "revoker", _validate, lambda problem: _log.warning("revoker.plugin_broken", message=problem)
)
