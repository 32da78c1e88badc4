"""The durable HTTP call (``context.call_http``): takes the request's JSON, gives the response's JSON.

Only loopback addresses are called unless the engine was told otherwise: a stand-in for Azure has no business on the
network. Answers are returned as they are; a 202 is not polled (the extension's polling would take task ids that the
Python SDK does not count; what Azure does there is unverified). A managed-identity token source is refused.
"""

import asyncio
import ipaddress
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from local_azure.functions_host.durable.json_text import dumps, loads
from local_azure.functions_host.errors import InvocationFailed

_TIMEOUT_SECONDS = 100
"""The default of .NET's HttpClient, which the extension uses."""


class HttpCaller:
    """Sends durable HTTP requests on threads."""

    def __init__(self, *, allow_any_host: bool = False) -> None:
        self._allow_any_host = allow_any_host

    async def call(self, request_text: str) -> str:
        """The response as ``{"statusCode", "headers", "content"}``.

        Raises:
            InvocationFailed: The request is not allowed, or there was no answer.
        """
        request = self._request(loads(request_text))
        try:
            return await asyncio.to_thread(_send, request)
        except OSError as error:  # URLError and time-outs are OSErrors
            raise InvocationFailed(repr(error)) from error

    def _request(self, wanted: dict[str, Any]) -> urllib.request.Request:
        url = str(wanted.get("uri", ""))
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvocationFailed(f"ValueError('callHttp needs an absolute http or https address, not {url!r}')")
        if not self._allow_any_host and not _is_loopback(parts.hostname):
            raise InvocationFailed(f"PermissionError('callHttp is limited to loopback here; {parts.hostname} is not')")
        if wanted.get("tokenSource"):
            raise InvocationFailed("NotImplementedError('callHttp with a token source does not exist locally')")
        content = wanted.get("content")
        body = None if content is None else str(content).encode()
        headers = {str(name): str(value) for name, value in (wanted.get("headers") or {}).items()}
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        return urllib.request.Request(url, data=body, headers=headers, method=str(wanted.get("method", "GET")))  # noqa: S310 - checked above


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _KeepRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could leave loopback: it is the orchestrator's to follow."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_KeepRedirects, urllib.request.ProxyHandler({}))


def _send(request: urllib.request.Request) -> str:
    try:
        with _OPENER.open(request, timeout=_TIMEOUT_SECONDS) as response:
            return _answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.headers, error.read())


def _answer(status: int, headers: Any, body: bytes) -> str:
    values = {name: ", ".join(headers.get_all(name)) for name in headers}
    return dumps({"statusCode": status, "headers": values, "content": body.decode(errors="replace")})
