"""A client for untrusted endpoints: any response ends within limits, and every failure is a one-line error."""

from __future__ import annotations

import asyncio
import os
import re
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from sft_ref.console.printable import printable
from sft_ref.errors import SftRefError
from sft_ref.io.foreign import first_line
from sft_ref.io.reading import UnreadableError, json_of

T = TypeVar("T")

KEY = "OPENAI_API_KEY"
"""Environment variable that holds the API key, unless the user names another one."""

SECONDS = 60.0
"""Time limit of one request, from connecting to the last byte of the response."""

MOST_BYTES = 16 * 2**20
"""Largest size of one response; the logprobs of a probe have some hundred kilobytes."""

_LOCAL = {"localhost", "127.0.0.1", "::1"}
_REFUSED = (400, 404, 405, 413, 415, 422, 500, 501)
"""HTTP status codes of servers that do not know a request, or an option of it."""


class EndpointError(SftRefError):
    """An endpoint cannot be reached, or returns no usable response."""


class RequestRefusedError(EndpointError):
    """An endpoint responds but refuses this request; it may accept another form of it."""


def root_of(url: str) -> str:
    """Returns the address before ``/completions``: the same for ``http://host:8000`` and ``http://host:8000/v1/``.

    Raises:
        EndpointError: the URL is not the address of a server, or may contain a secret.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is not a number
    except ValueError as error:
        raise EndpointError(f"the URL cannot be read ({error}); give one such as http://localhost:8000") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise EndpointError(f"{printable(url)}: is not the URL of a server; give one such as http://localhost:8000")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise EndpointError(
            "the URL has a user, a query or a fragment, which may be secret; give the address only, and the key in"
            f" the environment ({KEY}, or --key-env NAME)"
        )
    path = re.sub(r"/(chat/)?completions$", "", parts.path.rstrip("/"))
    return f"{parts.scheme}://{parts.netloc}{path if re.search(r'/v[0-9]+$', path) else f'{path}/v1'}"


def find_key(root: str, name: str | None) -> str | None:
    """Returns the API key to send; that of `KEY` is sent only where nobody can read it in transit (HTTPS or localhost).

    Args:
        root: address of the server.
        name: environment variable that the user named; None uses `KEY` if it is set.

    Raises:
        EndpointError: the named variable is not set, or does not contain a valid key.
    """
    key = os.environ.get(name or KEY, "").strip()
    parts = urlsplit(root)
    if name is None and parts.scheme == "http" and parts.hostname not in _LOCAL:
        return None
    if name is not None and not key:
        raise EndpointError(f"--key-env {printable(name)}: this environment variable is not set, or is empty")
    if key and not re.fullmatch(r"[!-~]+", key):
        raise EndpointError(
            f"the environment variable {printable(name or KEY)} holds no key; a key is ASCII without spaces"
        )
    return key or None


class EndpointClient:
    """Sends requests to one endpoint, one at a time; use it as a context manager.

    Redirects are not followed, responses have a limited size, and each request may take `SECONDS`.

    Args:
        root: address of the server, as `root_of` returns it.
        key: API key, sent as a bearer token and removed from every message; None sends no key.

    Raises:
        EndpointError: httpx2 is not installed.
    """

    def __init__(self, root: str, key: str | None) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise EndpointError("an endpoint needs httpx2; pip install 'sft-ref[http]'") from error
        self.root = root
        self._key = key
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._httpx = httpx2
        self._client = httpx2.AsyncClient(headers=headers, follow_redirects=False, timeout=SECONDS)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def get(self, path: str, type_: type[T]) -> T:
        """Returns the response to a GET; see `post`."""
        return self._ask("GET", path, None, type_)

    def post(self, path: str, content: dict[str, Any], type_: type[T]) -> T:
        """Returns the response to a POST.

        Args:
            path: path below the root, such as "/completions".
            content: content that is sent as JSON.
            type_: type of the response, as msgspec understands it.

        Raises:
            RequestRefusedError: the endpoint refuses this request.
            EndpointError: the endpoint returns no usable response.
        """
        return self._ask("POST", path, content, type_)

    def _ask(self, method: str, path: str, content: dict[str, Any] | None, type_: type[T]) -> T:
        url = f"{self.root}{path}"
        try:
            status, target, body = self._runner.run(self._fetch(method, url, content))
        except (TimeoutError, self._httpx.TimeoutException) as error:
            raise EndpointError(f"{url}: no complete answer within {SECONDS:.0f} s; is the model loaded?") from error
        except self._httpx.ConnectError as error:
            raise self._error(
                url, f"cannot be reached ({first_line(error)}); start the server, or correct the URL"
            ) from error
        except (self._httpx.HTTPError, self._httpx.InvalidURL) as error:
            raise self._error(url, f"no answer ({first_line(error)}); is this an HTTP server?") from error
        self._check_status(url, status, target, body)
        if body.lstrip()[:1] == b"<":
            raise EndpointError(f"{url}: answers with HTML instead of JSON; give the address of the API")
        try:
            return json_of(body, type_)
        except UnreadableError as error:
            raise self._error(url, f"the answer cannot be read ({error}); is this an OpenAI-style API?") from error

    async def _fetch(self, method: str, url: str, content: dict[str, Any] | None) -> tuple[int, str, bytes]:
        """Returns the status, the target of a redirect (empty if there is none), and the body."""
        async with asyncio.timeout(SECONDS), self._client.stream(method, url, json=content) as response:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise EndpointError(
                        f"{url}: the answer is larger than {MOST_BYTES // 2**20} MB; is this an OpenAI-style API?"
                    )
            return response.status_code, response.headers.get("location", ""), bytes(body)

    def _check_status(self, url: str, status: int, target: str, body: bytes) -> None:
        """Raises if the status is not a success."""
        if 200 <= status < 300:  # noqa: PLR2004
            return
        if 300 <= status < 400:  # noqa: PLR2004
            raise self._error(url, f"redirects to {target[:200] or 'nowhere'}; give that address if you trust it")
        detail = _message(body)
        words = f"answers {status}" + (f" ({detail})" if detail else "")
        if status in {401, 403}:
            sent = "the key was refused" if self._key else "no key was sent"
            raise self._error(url, f"{words}: {sent}; set {KEY}, or name a variable with --key-env NAME")
        kind = RequestRefusedError if status in _REFUSED else EndpointError
        raise self._error(url, words, kind)

    def _error(self, url: str, reason: str, kind: type[EndpointError] = EndpointError) -> EndpointError:
        """Returns an error without the API key, even if the server's response repeats it."""
        text = printable(reason.replace(self._key, "***") if self._key else reason)
        return kind(f"{url}: {text}")


_REASONS = ("message", "detail", "error")
"""JSON keys under which servers put the reason of a refusal."""


def _message(body: bytes) -> str:
    """Returns the reason in the body of an error response, in one line; empty for HTML or JSON without a reason."""
    if body.lstrip()[:1] == b"<":
        return ""
    try:
        found: Any = json_of(body, dict[str, Any])
    except UnreadableError:
        return " ".join(body[:200].decode("utf-8", "replace").split())
    for _ in range(2):
        inner = next((found[key] for key in _REASONS if found.get(key)), "")
        if not isinstance(inner, dict):
            return " ".join(str(inner).split())[:200]
        found = inner
    return ""
