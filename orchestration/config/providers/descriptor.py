"""What the system has to know about one kind of provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from orchestration.config.document import JsonPath
from orchestration.config.problems import Problem
from orchestration.domain.answer_continuation import AnswerContinuation
from orchestration.domain.provider_api import ProviderApi


class ProviderFields(Protocol):
    """The settings that a check may read; `ProviderSettings` has them."""

    @property
    def base_url(self) -> str | None: ...

    @property
    def default_model(self) -> str | None: ...

    @property
    def auth(self) -> str | None: ...

    @property
    def api_version(self) -> str | None: ...

    @property
    def options(self) -> dict[str, Any]: ...


ProviderCheck = Callable[[str, ProviderFields, JsonPath], Iterator[Problem]]
"""Finds problems in the settings of the provider with that name, which stand at that place in the file."""


@dataclass(frozen=True, slots=True)
class ProviderDescriptor:
    """One kind of provider: its settings, its checks, its documentation, and the class of its endpoint.

    `factory` is written as "module:class", as an entry point is. The configuration describes providers without
    importing what calls them, so a user's module stays unloaded until a call goes to its provider.
    """

    name: str
    summary: str
    factory: str
    base_url: str | None = None  # the address, where all customers of the vendor share one
    api_key_env: str | None = None  # the variable with the key, unless the settings name another
    # A server at an address of the user's own is not the vendor's, so the vendor's key is none of its business.
    sends_key_to_own_address: bool = True
    required: tuple[str, ...] = ("baseUrl", "defaultModel")
    optional: tuple[str, ...] = ("apiKeyEnv",)
    options: type[BaseModel] | None = None
    checks: tuple[ProviderCheck, ...] = ()
    # Whether it answers a probe while it works on a call. If it may not, its silence to a probe proves nothing.
    answers_during_calls: bool = False
    answer_continuation: AnswerContinuation = AnswerContinuation.NONE
    # The vendor's own status page, as JSON or RSS; the hosts at which a provider is the vendor's; and the parts of the
    # page that a provider needs.
    status_url: str | None = None
    status_hosts: tuple[str, ...] = ()
    status_services: tuple[str, ...] = ()
    # The class of its endpoint for the Responses API, where the vendor has it.
    responses_factory: str | None = None

    def factory_for(self, api: ProviderApi) -> str | None:
        """The class of its endpoint for an API; None if the vendor has none such."""
        return self.responses_factory if api is ProviderApi.RESPONSES else self.factory

    def default_key(self, base_url: str | None) -> str | None:
        """The variable that holds the key when the settings name none; `base_url` is the address that they give."""
        return self.api_key_env if base_url is None or self.sends_key_to_own_address else None
