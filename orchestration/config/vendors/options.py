"""The options of the revokers, by vendor. Secrets are named by their variables and never written here."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from orchestration.config.section import EnvironmentName


class RevokerOptions(BaseModel):
    """The base of all options: camelCase keys, and an unknown key is a mistake."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class AwsRevokerOptions(RevokerOptions):
    """The key pair that may deactivate others (`iam:UpdateAccessKey`), and the user that the exposed key belongs to.

    `keyIdEnv` and `keySecretEnv` are the two halves of the exposed pair: a probe has to sign with both.
    """

    admin_key_id_env: EnvironmentName
    admin_key_secret_env: EnvironmentName
    user_name: str | None = None
    key_id_env: EnvironmentName = "AWS_ACCESS_KEY_ID"
    key_secret_env: EnvironmentName = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 (its name)
    sts_url: str = "https://sts.amazonaws.com"


class AzureRevokerOptions(RevokerOptions):
    """The account whose keys are regenerated, and the application that may do so.

    It needs the role Cognitive Services Contributor on the account. `endpoint` is the account's own address, for the
    probe; without it, a key is compared with those that the account has.
    """

    subscription: str
    resource_group: str
    account: str
    tenant: str
    client_id: str
    client_secret_env: EnvironmentName
    authority: str = "https://login.microsoftonline.com"
    endpoint: str | None = None

    @property
    def resource_id(self) -> str:
        """The account as the Azure Resource Manager names it."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.CognitiveServices/accounts/{self.account}"
        )


class AdminKeyOptions(RevokerOptions):
    """The variable with a key that may manage others: OpenAI's and Anthropic's admin keys."""

    admin_key_env: EnvironmentName


class OptionalAdminKeyOptions(RevokerOptions):
    """The variable with a key that may manage others; without it the exposed key has to revoke itself."""

    admin_key_env: EnvironmentName | None = None


class GitHubRevokerOptions(RevokerOptions):
    """The variable with a token for GitHub Enterprise Server, which takes no anonymous requests."""

    token_env: EnvironmentName | None = None
