"""The process's outbound HTTP: one pooled aiohttp session behind ``ports.HttpClient``.

Takes a POST or GET, gives the answer or says how far the request came, because that decides whether it may be repeated:
before a connection stands nothing was sent (``Transient``); afterwards the other side may have acted (``InDoubt``).
aiohttp tells the two apart by exception type as long as connecting has its own, earlier deadline, so no tracing hooks
run in each call.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from shared.domain.call_start import call_may_start
from shared.domain.errors import InDoubt, ProviderError, Transient
from shared.ports import HttpAnswer

# The bulkhead bounds what is under way, for each channel; a bound over all hosts would let one channel's slow provider
# take the connections of another's. A push to many devices may make several calls in one place, hence more than 200.
MAX_CONNECTIONS_PER_HOST = 400
KEEP_ALIVE = timedelta(seconds=15)  # shorter than what common servers grant, so they rarely close under our request
CONNECT_TIMEOUT = timedelta(seconds=10)  # covers waiting for the pool, DNS, TCP and TLS
MAX_ANSWER_BYTES = 64 * 1024

# No byte of the request has left when one of these is raised; ClientConnectorError covers DNS, TCP and TLS.
# ClientConnectionResetError is not among them: it also tells of a connection lost in the middle of a large body.
NOTHING_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)
NO_ANSWER = (TimeoutError,)
MALFORMED_ANSWER = (aiohttp.ClientResponseError, aiohttp.ClientPayloadError)
CONNECTION_LOST = (aiohttp.ClientError, OSError)

# "identity" and no decompression: 64 KiB of answer can't unfold into something larger.
_FIXED_HEADERS = {"accept-encoding": "identity", "user-agent": "customer-notification-service"}


def pooled_connector() -> aiohttp.TCPConnector:
    """The pool for the hosts that our settings name."""
    return aiohttp.TCPConnector(
        limit=0, limit_per_host=MAX_CONNECTIONS_PER_HOST, keepalive_timeout=KEEP_ALIVE.total_seconds()
    )


class _TimelyRequest(aiohttp.ClientRequest):
    """A request that asks, once it has its connection, whether its first byte may leave (shared/domain/call_start.py).

    aiohttp keeps the headers back until the body follows in this method, and writes both into the socket at once.
    """

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: aiohttp.connector.Connection, content_length: int | None = None
    ) -> None:
        try:
            await call_may_start()
        except ProviderError as refusal:
            if conn.protocol is not None:
                conn.protocol.set_exception(refusal)  # whoever waits for the answer hears why there is none
            conn.close()
            return
        await super().write_bytes(writer, conn, content_length)


class AiohttpClient:
    """``ports.HttpClient`` over one aiohttp session, created in the running loop when first used."""

    def __init__(self, connector: Callable[[], aiohttp.TCPConnector] = pooled_connector) -> None:
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: timedelta) -> HttpAnswer:
        """The answer to one POST; redirects are not followed and at most 64 KiB of the answer are read.

        Args:
            url: absolute http or https URL.
            headers: header names in any case; values without line breaks.
            body: sent as it is; may be empty.
            timeout: for the whole call; connecting gets at most half of it, and at most ten seconds.

        Raises:
            Transient: no byte of the request left (refused, unresolvable, no connection in time).
            Throttled: no byte of the request left, because the caller's limit has no room for it.
            InDoubt: bytes left and no complete answer came back within ``timeout``.
        """
        return await self._call("POST", url, headers, body, timeout)

    async def get(self, url: str, *, headers: Mapping[str, str], timeout: timedelta) -> HttpAnswer:
        """The answer to one GET; arguments and errors are those of ``post``."""
        return await self._call("GET", url, headers, None, timeout)

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: timedelta
    ) -> HttpAnswer:
        try:
            return await self._exchange(method, url, headers, body, _limits(timeout))
        except NOTHING_SENT as error:
            raise Transient("connection_failed") from error
        except NO_ANSWER as error:
            raise InDoubt("no_answer") from error
        except MALFORMED_ANSWER as error:
            raise InDoubt("malformed_answer") from error
        except CONNECTION_LOST as error:
            raise InDoubt("connection_lost") from error

    async def close(self) -> None:
        """Close all connections. The next call would open a new session."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limits: aiohttp.ClientTimeout
    ) -> HttpAnswer:
        session = self._session or self._open()
        async with session.request(
            method, url, headers=headers, data=body, timeout=limits, allow_redirects=False
        ) as response:
            answer = await _read_capped(response)
            return HttpAnswer(response.status, {name.lower(): v for name, v in response.headers.items()}, answer)

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=self._connector(),
            headers=_FIXED_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            request_class=_TimelyRequest,
        )
        return self._session


def _limits(timeout: timedelta) -> aiohttp.ClientTimeout:
    total = timeout.total_seconds()
    return aiohttp.ClientTimeout(total=total, connect=min(CONNECT_TIMEOUT.total_seconds(), total / 2))


async def _read_capped(response: aiohttp.ClientResponse) -> bytes:
    answer = await response.content.read(MAX_ANSWER_BYTES)
    while not response.content.at_eof() and len(answer) < MAX_ANSWER_BYTES:
        answer += await response.content.read(MAX_ANSWER_BYTES - len(answer))
    if not response.content.at_eof():
        response.close()  # the rest is not worth reading, so the connection can't be used again
    return answer
