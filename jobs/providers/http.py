"""JSON over HTTP with a deadline for the whole call.

An HTTP client's own timeouts bound the wait for each piece: a server that sends a byte every few seconds holds a call
for ever. Here each read and write may take only what is left until the call's deadline.
"""

import json
import os
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jobs.providers.errors import (
    ProviderBusy,
    ProviderMisconfigured,
    ProviderNonsense,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    import httpx2

MAX_ANSWER_BYTES = 32 * 2**20
LONGEST_RETRY_AFTER = 3600.0

DONE = "[DONE]"  # the last event of a stream that is whole

# Of the call that is being sent. While its answer is read, the stream knows it: another call may begin meanwhile.
deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class Endpoint:
    """One remote service, by its base URL. Building one connects nothing; safe among threads and after a fork.

    A base URL without a path gets `default_path`: `/v1`, where OpenAI-compatible services have their routes.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        default_path: str = "/v1",
    ) -> None:
        url = url.rstrip("/")
        self.url = url if urlsplit(url).path else url + default_path
        self.timeout = timeout
        self._connect_timeout = connect_timeout
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client: httpx2.Client | None = None
        self._pid = 0
        self._lock = Lock()

    def post(self, path: str, body: Any, within: float | None = None) -> Any:
        """Post JSON and return the JSON of the answer, within `timeout` seconds in all, or `within`, if that is less.

        Raises:
            ProviderError: of the kind that tells whether trying again can help.
        """
        with self._answer("POST", path, within, json=body) as response:
            return _json_of(response)

    def get(self, path: str, params: Mapping[str, str], within: float | None = None) -> Any:
        """Return the JSON that a GET brings, in the time that `post` has. Raises as that does."""
        with self._answer("GET", path, within, params=params) as response:
            return _json_of(response)

    def stream(self, path: str, body: Any, within: float | None = None) -> Iterator[Any]:
        """Post JSON and yield each JSON event of the answer's stream as it comes, in the time that `post` has.

        An answer that is no stream, but JSON, is the only event. `DONE` comes last, if the stream says that it is over.
        """
        with self._answer("POST", path, within, json=body) as response:
            if response.headers.get("Content-Type", "").startswith("application/json"):
                yield _json_of(response)
                yield DONE
                return
            for line in response.iter_lines():
                data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
                if data:
                    yield DONE if data == DONE else _event(data)
                if data == DONE:
                    return

    @contextmanager
    def _answer(self, method: str, path: str, within: float | None, **content: Any) -> Iterator["httpx2.Response"]:
        import httpx2

        seconds = self.timeout if within is None else min(self.timeout, within)
        end = time.monotonic() + seconds
        try:
            response = self._send(method, path, end, content)
            with closing(response):
                response.extensions["network_stream"].deadline = end  # for reading the body
                _check(response)
                yield response
        except httpx2.TimeoutException as error:
            raise ProviderTimeout(f"The service did not answer within {seconds:.3g} s.") from error
        except httpx2.RemoteProtocolError as error:
            raise ProviderNonsense("The service does not speak HTTP.") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ProviderUnavailable("The service could not be reached.") from error

    def _send(self, method: str, path: str, end: float, content: Mapping[str, Any]) -> "httpx2.Response":
        client = self._connected()
        request = client.build_request(method, f"{self.url}/{path}", headers=self._headers, **content)
        token = deadline.set(end)
        try:
            return client.send(request, stream=True)
        finally:
            deadline.reset(token)

    def _connected(self) -> "httpx2.Client":
        with self._lock:
            if self._client is None or self._pid != os.getpid():  # a connection must not be shared over a fork
                from jobs.providers.transport import open_client

                tls = not self.url.startswith("http://")
                self._client = open_client(tls=tls, connect_seconds=self._connect_timeout, seconds=self.timeout)
                self._pid = os.getpid()
                weakref.finalize(self, self._client.close)
            return self._client


def _check(response: "httpx2.Response") -> None:
    status = response.status_code
    if status < 300:
        return
    wait = retry_after(response.headers.get("Retry-After", ""))
    if status == 429:
        raise ProviderBusy(retry_after=wait)
    if status in (408, 409, 425) or status >= 500:
        raise ProviderUnavailable(f"The service answered {status}.", retry_after=wait)
    if status in (401, 403, 404):
        raise ProviderMisconfigured(
            f"The service answered {status}: it does not take our key, or has not what the settings name."
        )
    raise ProviderRefused(f"The service answered {status}.")


def retry_after(header: str) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, at most an hour; None if it holds nothing usable."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if seconds == seconds else None


def _limited(pieces: Iterator[bytes]) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > MAX_ANSWER_BYTES:
            raise ProviderNonsense(f"The service's answer is longer than {MAX_ANSWER_BYTES} bytes.")
        yield piece


def _json_of(response: "httpx2.Response") -> Any:
    try:
        return json.loads(b"".join(_limited(response.iter_bytes())))
    except (ValueError, RecursionError) as error:
        raise ProviderNonsense("The service's answer is not JSON.") from error


def _event(data: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProviderNonsense("The service's stream holds something that is not JSON.") from error
