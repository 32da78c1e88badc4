"""Where the guarded client connects, watched at the socket: an audit hook sees and stops every connect there is."""

import asyncio
import contextlib
import socket
import sys
from datetime import timedelta

import pytest
from aiohttp.abc import AbstractResolver

from shared.adapters.guarded_destinations import GuardedClient, check_address, check_url
from shared.domain.errors import DestinationRefused, Transient

PUBLIC = "93.184.215.14"
PUBLIC_V6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"

# (URL, also refused when the development setting is on)
REFUSED_AT_SIGHT = [
    # loopback, in every dress
    ("https://127.0.0.1/", False),
    ("https://127.1.2.3:8443/", False),
    ("https://[::1]/", False),
    ("https://localhost/", False),
    ("https://LOCALHOST./", False),
    ("https://api.localhost/", False),
    ("https://2130706433/", True),
    ("https://0x7f000001/", True),
    ("https://0x7f.1/", True),
    ("https://0177.0.0.1/", True),
    ("https://017700000001/", True),
    ("https://127.1/", True),
    ("https://127.0.0.1./", True),
    ("https://127.000.000.001/", True),
    ("https://\uff11\uff12\uff17.0.0.1/", False),
    ("https://①②⑦.⓪.⓪.①/", False),
    ("https://127。0。0。1/", False),
    ("https://[::ffff:127.0.0.1]/", True),
    ("https://[::ffff:7f00:1]/", True),
    ("https://[::127.0.0.1]/", True),
    ("https://[0:0:0:0:0:ffff:a9fe:a9fe]/", True),
    # the cloud's own services
    ("https://169.254.169.254/metadata/instance", True),
    ("https://2852039166/", True),
    ("https://0xa9.0xfe.0xa9.0xfe/", True),
    ("https://168.63.129.16/", True),
    ("https://metadata.google.internal/", True),
    # this network, private, carrier-grade NAT, link-local, multicast, reserved, documentation
    ("https://0.0.0.0/", True),
    ("https://0/", True),
    ("https://10.0.0.1/", True),
    ("https://10.1/", True),
    ("https://100.64.0.1/", True),
    ("https://172.16.0.1/", True),
    ("https://172.31.255.255/", True),
    ("https://192.168.1.1/", True),
    ("https://192.0.0.8/", True),
    ("https://192.0.2.1/", True),
    ("https://192.88.99.1/", True),
    ("https://198.18.0.1/", True),
    ("https://198.51.100.7/", True),
    ("https://203.0.113.9/", True),
    ("https://224.0.0.1/", True),
    ("https://240.0.0.1/", True),
    ("https://255.255.255.255/", True),
    ("https://[::]/", True),
    ("https://[64:ff9b::a00:1]/", True),
    ("https://[64:ff9b:1::1]/", True),
    ("https://[100::1]/", True),
    ("https://[2001::1]/", True),
    ("https://[2001:db8::1]/", True),
    ("https://[2002:7f00:1::]/", True),
    ("https://[3fff::1]/", True),
    ("https://[5f00::1]/", True),
    ("https://[fc00::1]/", True),
    ("https://[fd12:3456::1]/", True),
    ("https://[fe80::1]/", True),
    ("https://[fe80::1%25eth0]/", True),
    ("https://[fec0::1]/", True),
    ("https://[ff02::1]/", True),
    # scheme, user, fragment, port, host, form
    ("http://example.com/", False),
    ("HTTP://example.com/", False),
    ("ftp://example.com/", True),
    ("file:///etc/passwd", True),
    ("gopher://example.com/", True),
    ("javascript:alert(1)", True),
    ("//example.com/", True),
    ("example.com", True),
    ("", True),
    ("https://user@example.com/", True),
    ("https://user:secret@example.com/", True),
    ("https://@example.com/", True),
    ("https://example.com@127.0.0.1/", True),
    ("https://127.0.0.1#@example.com/", True),
    ("https://example.com/#fragment", True),
    ("https://example.com/#", True),
    ("https://example.com\\@127.0.0.1/", True),
    ("https://example.com:22/", True),
    ("https://example.com:25/", True),
    ("https://example.com:0/", True),
    ("https://example.com:80/", False),
    ("https://example.com:65536/", True),
    ("https://example.com:-1/", True),
    ("https://example.com:x/", True),
    ("https:///path", True),
    ("https://:443/", True),
    ("https://./", True),
    ("https://a..b/", True),
    ("https://intranet/", True),
    ("https://printer.local/", True),
    ("https://exa mple.com/", True),
    ("https://example.com/\r\nHost: evil", True),
    ("https://example.com/\u202e", True),
    ("https://[::1/", True),
    ("https://[example.com]/", True),
    ("https://" + "a" * 3000 + ".com/", True),
]
ACCEPTED = [
    ("https://example.com/hook?x=1", "example.com"),
    ("https://EXAMPLE.com./", "example.com."),
    ("https://example.com:8443/", "example.com"),
    ("https://bücher.example/ä", "xn--bcher-kva.example"),
    ("https://例え.テスト/", "xn--r8jz45g.xn--zckzah"),
    (f"https://{PUBLIC}/", None),
    (f"https://[{PUBLIC_V6}]/", None),
]
DENIED_ADDRESSES = [
    "127.0.0.1", "10.1.2.3", "100.127.255.255", "169.254.169.254", "168.63.129.16", "192.168.0.1", "0.0.0.0",
    "224.0.0.251", "255.255.255.255", "::1", "::", "::ffff:10.0.0.1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e",
    "2002:5db8:d70e::", "2001:0:1::", "fd00::1", "fe80::1", "fe80::1%eth0", "ff02::1", "2001:db8::1",
]  # fmt: skip


class Answers(AbstractResolver):
    """A resolver that gives the next of its answers and remembers what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def resolve(self, host, port=0, family=socket.AF_UNSPEC):
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
            for address in addresses
        ]

    async def close(self):
        pass


class Connects:
    """Every address connected to; those outside loopback are stopped with an error."""

    active: "Connects | None" = None

    def __init__(self):
        self.addresses = []

    @classmethod
    def audit(cls, event, args):
        if cls.active is None or event != "socket.connect" or not isinstance(args[1], tuple):
            return
        cls.active.addresses.append(args[1][0])
        if args[1][0] not in {"127.0.0.1", "::1"}:
            raise OSError("the test lets no connection out")


sys.addaudithook(Connects.audit)


@pytest.fixture
def connects():
    Connects.active = Connects()
    yield Connects.active
    Connects.active = None


@contextlib.asynccontextmanager
async def guarded(resolver, *, allow_http=False):
    client = GuardedClient(allow_http=allow_http, resolver=lambda: resolver)
    try:
        yield client
    finally:
        await client.close()


async def post(client, url):
    return await client.post(url, headers={}, body=b"{}", timeout=timedelta(seconds=5))


def test_the_corpus_is_large_enough():
    assert len(REFUSED_AT_SIGHT) + len(ACCEPTED) >= 60


@pytest.mark.parametrize("url", [url for url, _ in REFUSED_AT_SIGHT])
async def test_refused_at_sight_nothing_is_resolved_or_connected(connects, url):
    resolver = Answers([PUBLIC])
    async with guarded(resolver) as client:
        with pytest.raises(DestinationRefused):
            await post(client, url)

    assert resolver.asked == []
    assert connects.addresses == []


@pytest.mark.parametrize("url", [url for url, always in REFUSED_AT_SIGHT if always])
async def test_the_development_setting_opens_http_and_loopback_only(connects, url):
    resolver = Answers([PUBLIC])
    async with guarded(resolver, allow_http=True) as client:
        with pytest.raises(DestinationRefused):
            await post(client, url)

    assert resolver.asked == []
    assert connects.addresses == []


@pytest.mark.parametrize("url", [url for url, always in REFUSED_AT_SIGHT if not always])
def test_the_development_setting_opens_these(url):
    check_url(url, allow_http=True)


@pytest.mark.parametrize(("url", "name"), ACCEPTED)
async def test_public_destinations_are_connected_to_at_the_address_that_was_checked(connects, url, name):
    resolver = Answers([PUBLIC])
    async with guarded(resolver) as client:
        with pytest.raises(Transient):
            await post(client, url)

    assert resolver.asked == ([name] if name else [])
    assert connects.addresses == [PUBLIC if name or PUBLIC in url else PUBLIC_V6]


@pytest.mark.parametrize("address", DENIED_ADDRESSES)
async def test_a_public_name_with_a_denied_address_is_refused_unconnected(connects, address):
    async with guarded(Answers([address])) as client:
        with pytest.raises(DestinationRefused):
            await post(client, "https://innocent.example/")

    assert connects.addresses == []


async def test_one_denied_address_among_public_ones_spoils_the_answer(connects):
    async with guarded(Answers([PUBLIC, "10.0.0.1"])) as client:
        with pytest.raises(DestinationRefused):
            await post(client, "https://innocent.example/")

    assert connects.addresses == []


async def test_a_name_that_rebinds_is_asked_once_a_connection_and_checked_each_time(connects):
    resolver = Answers([PUBLIC], ["127.0.0.1"])
    async with guarded(resolver) as client:
        with pytest.raises(Transient):
            await post(client, "https://rebinding.example/")
        assert len(resolver.asked) == 1

        with pytest.raises(DestinationRefused):
            await post(client, "https://rebinding.example/")

    assert connects.addresses == [PUBLIC]


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0"])
async def test_names_keep_to_the_list_under_the_development_setting(connects, address):
    async with guarded(Answers([address]), allow_http=True) as client:
        with pytest.raises(DestinationRefused):
            await post(client, "http://innocent.example/")

    assert connects.addresses == []


async def test_the_development_setting_reaches_loopback_by_address_and_by_name(connects):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with guarded(Answers(["127.0.0.1"]), allow_http=True) as client:
        answers = [await post(client, f"http://{host}:{port}/hook") for host in ("127.0.0.1", "localhost")]
    server.close()

    assert [answer.status for answer in answers] == [307, 307]
    assert connects.addresses == ["127.0.0.1", "127.0.0.1"]


@pytest.mark.parametrize(
    "address", [PUBLIC, PUBLIC_V6, "1.1.1.1", "2a00:1450:4001:82f::200e", "172.32.0.1", "100.128.0.1"]
)
def test_public_addresses_pass(address):
    check_address(address, allow_loopback=False)


@pytest.mark.parametrize("address", ["", "banana", "1.2.3", "1.2.3.4.5", "01.2.3.4"])
def test_an_address_that_can_not_be_read_is_refused(address):
    with pytest.raises(DestinationRefused):
        check_address(address, allow_loopback=True)
