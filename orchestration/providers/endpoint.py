"""One provider over HTTP, in the OpenAI dialect. Other vendors differ in addresses, headers and probes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import anyio
import httpx2

from orchestration.config.credentials import CredentialSource
from orchestration.config.providers.settings import ProviderSettings
from orchestration.http_connections import PooledConnections
from orchestration.outbound import OutboundRule, OutboundTransport
from orchestration.providers import classification
from orchestration.providers.connections import Connections
from orchestration.providers.dialects.error_shapes import error_in
from orchestration.providers.dialects.surrogates import sound_value
from orchestration.providers.event_stream import EventStreamReader, NoEventError, StreamEvent, read_document
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.probe_timeout import ProbeTimeout, sleep_while_running
from orchestration.providers.wire import SEALED_THOUGHTS, ChatBody, NativeRequest
from orchestration.telemetry.propagation import outgoing_headers
from orchestration.tls import CertificateFilesError, distrust, shared_tls_context, tls_context

# A second probe follows on another connection: the pooled one may have died without notice, behind a NAT for example,
# and its packets vanish until TCP gives up after minutes.
_SECOND_AFTER_SECONDS = 0.2
_WINDOW_NAMES = ("max_model_len", "context_window", "context_length", "max_context_length", "max_input_tokens")
ANTHROPIC_VERSION = "2023-06-01"  # the newest: https://platform.claude.com/docs/en/api/versioning
# An error page of a proxy can be of any size; more than this would only be cut off later.
_MOST_ERROR_BYTES = 64_000
# A server that keeps the connection open after `[DONE]` must not delay a finished answer.
_DRAIN_SECONDS = 0.1
_NEVER_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout)


class CallFailed(Exception):  # noqa: N818 (control flow within this package, never shown)
    """An attempt ended in a classified failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class EndpointResponse:
    """A provider's response: headers, and either the whole body or the chunks."""

    headers: Mapping[str, str]
    body: Mapping[str, Any] | None
    chunks: AsyncIterator[Mapping[str, Any]] | None


class Endpoint:
    """A provider that speaks the OpenAI dialect."""

    hint = "check its address and that it is running"
    # What only the vendor understands whose answers hold it: thoughts, signed or encrypted.
    foreign_fields: tuple[str, ...] = SEALED_THOUGHTS

    def __init__(self, name: str, settings: ProviderSettings, credentials: CredentialSource) -> None:
        self.name = name
        self.settings = settings
        self._credentials = credentials
        self.probe_timeout = ProbeTimeout()
        # The context of each model, in tokens, as far as the provider has said it since it was last taken over.
        self.windows: dict[str, int] = {}
        # Older servers and proxies refuse the field that asks for token counts; then they are estimated.
        self.asks_for_usage = True
        # Whether the list of models has to be asked for in Anthropic's own way.
        self._lists_as_anthropic = False
        # Why the files with certificates cannot be used; empty if they can.
        self._unusable = ""
        self._connections = Connections(self._make_client)

    @property
    def base_url(self) -> str:
        """The address without a trailing slash."""
        return (self.settings.effective_base_url or "").rstrip("/")

    def chat_url(self, model: str) -> str:  # noqa: ARG002 (other dialects name the model in the address)
        """The URL of chat requests."""
        return f"{self.base_url}/chat/completions"

    def embeddings_url(self, model: str) -> str:
        """The URL of requests for embeddings, which every vendor has beside that of chat requests."""
        return self.chat_url(model).replace("/chat/completions", "/embeddings")

    def probe_url(self) -> str:
        """The URL of a cheap probe."""
        return f"{self.base_url}/models"

    async def headers(self) -> dict[str, str]:
        """The headers that authenticate us. Raises CallFailed if the credentials are missing."""
        key = self.api_key()
        return {"authorization": f"Bearer {key}"} if key else {}

    def adapted(self, body: ChatBody, native: NativeRequest | None) -> ChatBody:
        """The request for a provider of this kind; `native` is what it was translated from. Raises CallFailed if
        something was lost that matters."""
        if native is not None and native.lost:
            message = f"{', '.join(native.lost)}: only a provider of the type `anthropic` can be asked for that"
            raise CallFailed(Failure(FailureKind.BAD_REQUEST, message, elsewhere=True))
        return without_fields(body, self.foreign_fields)

    def chat_body(self, model: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The request body for this provider."""
        return {"model": model, **body}

    @asynccontextmanager
    async def chat(self, model: str, body: Mapping[str, Any], now: datetime) -> AsyncIterator[EndpointResponse]:
        """Send a request; yields the response. Raises CallFailed for everything that is not an answer."""
        streaming = self.settings.streaming
        request_body = self.chat_body(model, body)
        if streaming:
            # Without `include_usage` OpenAI sends no token counts for a stream:
            # https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options.
            request_body |= {"stream": True}
            if self.asks_for_usage:
                request_body |= {"stream_options": {"include_usage": True}}
        async with self._sent(self.chat_url(model), request_body) as response:
            yield await self._answer(response, now, streaming=streaming)

    @asynccontextmanager
    async def embeddings(self, model: str, body: Mapping[str, Any], now: datetime) -> AsyncIterator[EndpointResponse]:
        """Ask for embeddings; yields the response. Raises CallFailed for everything that is none."""
        async with self._sent(self.embeddings_url(model), self.chat_body(model, body)) as response:
            await check_status(response, now)
            yield EndpointResponse(response.headers, _vectors(await response.aread()), None)

    @asynccontextmanager
    async def _sent(
        self, url: str, body: Mapping[str, Any], headers: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request, with `headers` beside those of the credentials; yields the response, whose body is still to
        be read. Raises CallFailed if the connection fails, also while the body is read."""
        self._check_files()
        async with self._connections.in_use() as client:
            request = await self._request("POST", url, body)
            request.headers.update(headers)
            response: httpx2.Response | None = None
            try:
                response = await client.send(request, stream=True)
                yield response
            except httpx2.HTTPError as error:
                if response is None and not isinstance(error, _NEVER_CONNECTED):
                    self._connections.renew()
                raise CallFailed(failure_of(error, begun=response is not None)) from error
            finally:
                if response is not None:
                    await response.aclose()

    async def probe(self, now: datetime) -> None:
        """Probe cheaply. Raises CallFailed if the provider would not answer a real request, either."""
        async with self._connections.in_use():
            response = await self._probed()
            if "authorization" in response.request.headers and is_anthropic_refusal(
                response.status_code, response.content
            ):
                self._lists_as_anthropic = True
                response = await self._probed()
        if response.status_code != 200:
            raise CallFailed(
                classification.from_response(response.status_code, response.headers, response.content, now)
            )
        self.check_probe(response.content)

    async def read_windows(self, now: datetime) -> None:
        """Ask how much the models read. Raises CallFailed."""
        await self.probe(now)

    async def retire(self) -> None:
        """Close every connection as soon as no call uses one any more."""
        await self._connections.retire()

    def check_probe(self, body: bytes) -> None:
        """Raise CallFailed if the answer to a probe is not what the vendor sends: a captive portal or a wrong port
        answers 200, too."""
        try:
            self.windows |= listed_windows(json.loads(body))
        except ValueError as error:
            message = f"{self.probe_url()} did not answer with JSON; is the address right?"
            raise CallFailed(Failure(FailureKind.MALFORMED, message, 200)) from error

    async def aclose(self) -> None:
        """Close every connection."""
        await self._connections.aclose()

    @property
    def connections(self) -> PooledConnections:
        """How many connections there are to the provider."""
        return self._connections.counts

    def _make_client(self) -> tuple[httpx2.AsyncClient, OutboundTransport]:
        settings = self.settings
        transport = OutboundTransport(
            # Model servers are in one's own network more often than not; a metadata service is none.
            OutboundRule(private=True),
            self._tls_context(),
            # The slots of the gateway limit connections: a call that waits in the pool cannot take another route.
            httpx2.Limits(
                max_connections=None,
                max_keepalive_connections=settings.keep_connections,
                keepalive_expiry=settings.keep_seconds,
            ),
            settings.proxy,
            busy=True,
        )
        # The limits but one depend on whether there was a token yet, so each attempt keeps them itself. The transport
        # knows about proxies; `.netrc` could send another key than the configured one.
        timeout = httpx2.Timeout(None, connect=settings.timeouts.connect)
        return httpx2.AsyncClient(timeout=timeout, transport=transport, trust_env=False), transport

    def _check_files(self) -> None:
        """Raise CallFailed if the certificates cannot be used; files that were mended meanwhile count."""
        if self._unusable:
            self._connections.renew()
        if self._unusable:
            raise CallFailed(Failure(FailureKind.UNREACHABLE, self._unusable, confirmed=True))

    def _tls_context(self) -> ssl.SSLContext:
        settings = self.settings
        try:
            context = tls_context(settings.ca_file, settings.certificate_file, settings.key_file)
        except CertificateFilesError as error:
            self._unusable = str(error)
            return shared_tls_context()
        self._unusable = ""
        return context

    async def _probed(self, url: str | None = None) -> httpx2.Response:
        """Send a probe, to `url` if that is given, and a second one if the first is not answered at once; whichever is
        answered or fails first counts. Raises CallFailed."""
        self._check_files()
        request = await self._request("GET", url or self.probe_url())
        if self._lists_as_anthropic:
            request.headers["x-api-key"] = request.headers.pop("authorization", "").removeprefix("Bearer ")
            request.headers["anthropic-version"] = ANTHROPIC_VERSION
        found: list[httpx2.Response | httpx2.HTTPError] = []
        limit, begun = self.probe_timeout.seconds, asyncio.get_running_loop().time()

        async def ask(after: float) -> None:
            await sleep_while_running(after)
            try:
                found.append(await self._connections.current.send(request))
            except httpx2.HTTPError as error:
                found.append(error)
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for after in (0.0, _SECOND_AFTER_SECONDS):
                group.start_soon(ask, after)
            await sleep_while_running(limit)
            group.cancel_scope.cancel()
        if not found:
            self.probe_timeout.record_silence()
            raise CallFailed(Failure(FailureKind.TIMEOUT, f"no answer to {request.url} within {limit:g} s"))
        if isinstance(found[0], httpx2.HTTPError):
            raise CallFailed(failure_of(found[0])) from found[0]
        self.probe_timeout.record_answer(asyncio.get_running_loop().time() - begun)
        return found[0]

    async def _request(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> httpx2.Request:
        """Build a request. Raises CallFailed if the address or the credentials cannot be used."""
        headers = {**await self.headers(), **outgoing_headers()}
        if body is not None:
            headers["content-type"] = "application/json"
        client = self._connections.current
        try:
            content = None if body is None else encoded(body)
            return client.build_request(method, _parsed_url(url), content=content, headers=headers)
        except httpx2.InvalidURL as error:
            message = f"the address '{url}' cannot be called: {error}"
            raise CallFailed(Failure(FailureKind.UNREACHABLE, message)) from error

    def api_key(self) -> str | None:
        """The key from the environment; None where none is sent. Raises CallFailed when it is missing or unusable."""
        name = self.settings.effective_api_key_env
        if name is None:
            return None
        key = self._credentials.get(name)
        if key is None:
            raise CallFailed(Failure(FailureKind.AUTHENTICATION, f"{name} is not set; put it in .env"))
        if not (key.isascii() and key.isprintable()):
            message = f"{name} has a character that no HTTP header can carry; copy the key into .env again"
            raise CallFailed(Failure(FailureKind.AUTHENTICATION, message))
        return key

    async def _answer(self, response: httpx2.Response, now: datetime, *, streaming: bool) -> EndpointResponse:
        await check_status(response, now)
        # Some servers ignore `stream` and answer with one object; the content type tells.
        if streaming and "json" not in response.headers.get("content-type", ""):
            return EndpointResponse(response.headers, None, read_chunks(response))
        return EndpointResponse(response.headers, _whole(await response.aread()), None)


# To read an address takes longer than to send to it, and each provider has a few.
@lru_cache(maxsize=256)
def _parsed_url(url: str) -> httpx2.URL:
    return httpx2.URL(url)


def encoded(body: Mapping[str, Any]) -> bytes:
    """A request as bytes. Raises CallFailed for what JSON cannot express."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return encoded(sound_value(body))
    except (ValueError, TypeError, RecursionError) as error:
        message = f"the request cannot be put into JSON: {error}"
        raise CallFailed(Failure(FailureKind.BAD_REQUEST, message)) from error


def is_anthropic_refusal(status: int, body: bytes) -> bool:
    """Whether Anthropic refuses a key because of how it was sent. Its layer for OpenAI's clients takes a bearer token
    for answers (https://platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk) but is no list of models,
    which only `x-api-key` opens (https://platform.claude.com/docs/en/api/models/list). Pure."""
    if status != 401:
        return False
    try:
        found = json.loads(body)
    except ValueError:
        return False
    error = found.get("error") if isinstance(found, dict) and found.get("type") == "error" else None
    return isinstance(error, dict) and error.get("type") == "authentication_error"


def without_fields(body: ChatBody, names: Collection[str]) -> ChatBody:
    """The request without these fields in its messages."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not any(name in message for message in messages for name in names):
        return body
    plain = [{name: value for name, value in one.items() if name not in names} for one in messages]
    return {**body, "messages": plain}


def listed_windows(document: Any) -> dict[str, int]:
    """The contexts that a list of models names: `max_model_len` (vLLM), `context_window` (Groq), `context_length`
    (OpenRouter), `max_context_length` (LM Studio, Mistral), `max_input_tokens` (Anthropic:
    https://platform.claude.com/docs/en/api/models)."""
    models = document.get("data") if isinstance(document, dict) else None
    found: dict[str, int] = {}
    for model in models if isinstance(models, list) else ():
        if isinstance(model, dict):
            sizes = [model[name] for name in _WINDOW_NAMES if isinstance(model.get(name), int) and model[name] > 0]
            found |= {str(model.get("id")): size for size in sizes[:1]}
    return found


async def check_status(response: httpx2.Response, now: datetime) -> None:
    """Raise CallFailed for every status but 200."""
    if response.status_code != 200:
        body = await _beginning(response)
        raise CallFailed(classification.from_response(response.status_code, response.headers, body, now))


async def _beginning(response: httpx2.Response) -> bytes:
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) >= _MOST_ERROR_BYTES:
            break
    return body[:_MOST_ERROR_BYTES]


async def read_chunks(response: httpx2.Response, last: Collection[str] = ()) -> AsyncIterator[Mapping[str, Any]]:
    """The chunks of a stream of server-sent events, or of lines of JSON; `last` are the types of those that end it.
    Raises CallFailed for what is no chunk."""
    parts, reader = response.aiter_bytes(), EventStreamReader()
    try:
        async for part in parts:
            for event in reader.feed(part):
                if event.done:
                    await _drain(parts)
                    return
                chunk = _chunk(event)
                yield chunk
                if last and chunk.get("type") in last:
                    await _drain(parts)
                    return
        for event in reader.close():
            if not event.done:
                yield _chunk(event)
    except NoEventError as error:
        raise CallFailed(Failure(FailureKind.MALFORMED, str(error), 200)) from error


async def _drain(parts: AsyncIterator[bytes]) -> None:
    """Read the end of the response: until then the connection is not returned to the pool."""
    with anyio.move_on_after(_DRAIN_SECONDS), contextlib.suppress(httpx2.HTTPError):
        async for _ in parts:
            pass


def _chunk(event: StreamEvent) -> Mapping[str, Any]:
    chunk = event.data
    reported = error_in(chunk)
    if reported is None and event.name == "error":
        reported = {"message": str(chunk)}
    if reported is not None:
        raise CallFailed(classification.from_error(reported))
    if not isinstance(chunk, dict):
        raise CallFailed(Failure(FailureKind.MALFORMED, "the stream held something that is no chunk", 200))
    return chunk


def read_document_of(body: bytes) -> Any:
    """Parse a document of status 200. Raises CallFailed if it is none, or an error."""
    try:
        data = read_document(body)
    except ValueError as error:
        what = "empty" if not body.strip() else "not JSON"
        raise CallFailed(Failure(FailureKind.MALFORMED, f"the answer was {what}", 200)) from error
    if (reported := error_in(data)) is not None:
        raise CallFailed(classification.from_error(reported))
    return data


def _vectors(body: bytes) -> Mapping[str, Any]:
    """Parse embeddings. Raises CallFailed if they are none."""
    data = read_document_of(body)
    found = data.get("data") if isinstance(data, dict) else None
    if (
        not isinstance(found, list)
        or not found
        or not all(isinstance(one, dict) and one.get("embedding") for one in found)
    ):
        raise CallFailed(Failure(FailureKind.MALFORMED, "the answer held no embeddings", 200))
    return dict(data)


def _whole(body: bytes) -> Mapping[str, Any]:
    """Parse a whole answer. Raises CallFailed if it is not one."""
    data = read_document_of(body)
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(choices, list) or not choices or not _has_message(choices[0]):
        raise CallFailed(Failure(FailureKind.MALFORMED, "the answer held no message", 200))
    return dict(data)


def _has_message(choice: object) -> bool:
    return isinstance(choice, dict) and isinstance(choice.get("message"), dict)


def failure_of(error: httpx2.HTTPError, *, begun: bool = False) -> Failure:
    """Classify an error of the HTTP client: `unreachable` before the answer began, `malformed` in the middle of it."""
    text = distrust(error) or str(error) or type(error).__name__
    if begun:
        return Failure(FailureKind.MALFORMED, f"the answer broke off: {text}", 200)
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        return Failure(FailureKind.TIMEOUT, text)
    # A server that takes the request and then hangs up may have died of it.
    return Failure(FailureKind.UNREACHABLE, text, unproven=not isinstance(error, _NEVER_CONNECTED))
