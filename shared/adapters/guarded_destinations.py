"""Outbound HTTP to addresses that customers and consumers name: recipient webhooks and callbacks.

Takes a URL, gives the same answers as the ordinary client, and connects to public addresses only. The URL is checked
before anything happens; names are resolved once for each new connection, every address of the answer must be public,
and the socket is made for the very address that was checked, so a name can't change its mind in between (DNS
rebinding). Redirects are never followed. Lists: IANA special-purpose registries for IPv4 and IPv6, read 2026-11-24
(https://www.iana.org/assignments/iana-ipv4-special-registry, …/iana-ipv6-special-registry).
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from shared.adapters.http_client import KEEP_ALIVE, AiohttpClient
from shared.domain.errors import DestinationRefused
from shared.ports import HttpAnswer

MAX_URL_LENGTH = 2048

# What both families call loopback; allowed by the development setting only.
LOOPBACK = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128")))
DENIED = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # Azure's platform services, reachable from every virtual machine
            "169.254.0.0/16",  # link-local, with the instance metadata service at 169.254.169.254
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # IETF protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarking
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and limited broadcast
            "::/3",  # outside global unicast: loopback, IPv4-mapped, IPv4-compatible, NAT64 64:ff9b::/96, discard-only
            "2001::/23",  # IETF protocol assignments, with Teredo 2001::/32 and ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
            "4000::/2",  # outside global unicast
            "8000::/1",  # outside global unicast: unique local fc00::/7, link-local, site-local, multicast
        ),
    )
)
_USER_INFORMATION = re.compile(r"[^/?#]*//[^/?#]*@")
_HTTPS_PORT, _HTTP_PORT, _FIRST_UNPRIVILEGED_PORT = 443, 80, 1024


def check_url(url: str, *, allow_http: bool) -> None:
    """Nothing when ``url`` may be connected to, as far as the URL alone can tell.

    Args:
        url: an absolute URL as a consumer wrote it.
        allow_http: the development setting: plain http and loopback are fine as well.

    Raises:
        DestinationRefused: scheme, user information, fragment, host, port or literal address is not acceptable.
    """
    parsed = _parse(url)
    if parsed.scheme != "https" and not (allow_http and parsed.scheme == "http"):
        raise DestinationRefused("the URL must use https")
    if _USER_INFORMATION.match(url):
        raise DestinationRefused("the URL must not carry a user name or password")
    if "#" in url:
        raise DestinationRefused("the URL must not carry a fragment")
    _check_port(parsed.port, allow_http=allow_http)
    _check_host(parsed.raw_host or "", allow_http=allow_http)


def _parse(url: str) -> yarl.URL:
    # isprintable() is false for control, bidirectional and other invisible characters.
    if len(url) > MAX_URL_LENGTH or not url.isprintable() or " " in url or "\\" in url:
        raise DestinationRefused("the URL is too long or holds characters that no URL has")
    try:
        # The same parser that aiohttp connects with, so there is no second opinion on where the host ends.
        parsed = yarl.URL(url)
        _ = parsed.port
    except ValueError as error:
        raise DestinationRefused("the URL can't be read") from error
    return parsed


def _check_port(port: int | None, *, allow_http: bool) -> None:
    # Below 1024 live mail, remote shells and directories, which must not be talked to in our name.
    if port is None or (
        port != _HTTPS_PORT and not (allow_http and port == _HTTP_PORT) and port < _FIRST_UNPRIVILEGED_PORT
    ):
        raise DestinationRefused("the URL's port must be 443 or at least 1024")


def _check_host(host: str, *, allow_http: bool) -> None:
    literal = _literal_address(host.rstrip("."))
    if literal is not None:
        check_address(literal, allow_loopback=allow_http)
        if literal != host:
            raise DestinationRefused("the URL's IPv4 address must be written as four decimal numbers")
        return
    labels = host.rstrip(".").lower().split(".")
    if not all(labels) or any("%" in label for label in labels):
        raise DestinationRefused("the URL's host is empty or malformed")
    if labels[-1] == "localhost" and allow_http:
        return
    if len(labels) == 1 or labels[-1] in {"localhost", "local", "internal"}:
        raise DestinationRefused("the URL's host must be a public name")


def _literal_address(host: str) -> str | None:
    if ":" in host:
        return host
    try:
        # inet_aton reads what the C library would: 2130706433, 0x7f.1, 017700000001 are all 127.0.0.1.
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeEncodeError):
        return None


def check_address(address: str, *, allow_loopback: bool) -> None:
    """Nothing when a numeric address is public (or loopback, where that is allowed).

    Raises:
        DestinationRefused: the address is malformed, has a zone, or lies in a denied network.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError as error:
        raise DestinationRefused("the destination's address can't be read") from error
    if getattr(parsed, "scope_id", None):
        raise DestinationRefused("the destination's address names a zone")
    if allow_loopback and any(parsed in network for network in LOOPBACK):
        return
    if any(parsed in network for network in DENIED):
        raise DestinationRefused("the destination is not a public address")


class GuardedResolver(AbstractResolver):
    """A resolver whose answers have all been checked; one denied address spoils the whole answer."""

    def __init__(self, resolver: AbstractResolver, *, allow_loopback: bool) -> None:
        self._resolver = resolver
        self._allow_loopback = allow_loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of ``host``.

        Raises:
            DestinationRefused: any of them is denied.
            OSError: the name can't be resolved.
        """
        results = await self._resolver.resolve(host, port, family)
        for result in results:
            check_address(result["host"], allow_loopback=self._allow_loopback)
        return results

    async def close(self) -> None:
        """Close the resolver behind."""
        await self._resolver.close()


class GuardedClient:
    """``ports.HttpClient`` for destinations that others name.

    Args:
        allow_http: the development setting: plain http and loopback destinations are allowed, nothing else more.
        resolver: makes the resolver behind the guard; aiohttp's own (the system's) unless a test brings another.
    """

    def __init__(
        self, *, allow_http: bool, resolver: Callable[[], AbstractResolver] = aiohttp.ThreadedResolver
    ) -> None:
        self._allow_http = allow_http
        self._resolver = resolver
        self._client = AiohttpClient(self._connector)

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: timedelta) -> HttpAnswer:
        """The answer to one POST; arguments are those of ``AiohttpClient.post``.

        Raises:
            DestinationRefused: the URL or one of its host's addresses is denied; nothing was connected to.
            Transient, InDoubt: as ``AiohttpClient.post``.
        """
        check_url(url, allow_http=self._allow_http)
        return await self._client.post(url, headers=headers, body=body, timeout=timeout)

    async def get(self, url: str, *, headers: Mapping[str, str], timeout: timedelta) -> HttpAnswer:
        """The answer to one GET; arguments and errors are those of ``post``."""
        check_url(url, allow_http=self._allow_http)
        return await self._client.get(url, headers=headers, timeout=timeout)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            limit=0,  # callers bound what is under way; waiting here would use up a slow recipient's time
            keepalive_timeout=KEEP_ALIVE.total_seconds(),
            resolver=GuardedResolver(self._resolver(), allow_loopback=self._allow_http),
            use_dns_cache=False,  # each new connection asks, and is checked, once
            socket_factory=self._checked_socket,
        )

    def _checked_socket(self, address_info: tuple[Any, ...]) -> socket.socket:
        # Every connection passes here with the address it goes to, also those to literals, which skip the resolver.
        family, kind, protocol, _, address = address_info
        check_address(address[0], allow_loopback=self._allow_http)
        return socket.socket(family, kind, protocol)
