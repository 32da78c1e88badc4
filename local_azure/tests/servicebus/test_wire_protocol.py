"""The wire below the SDK: a raw AMQP peer that splits, drains, misbehaves and talks nonsense."""

import asyncio
import random
import struct
from contextlib import asynccontextmanager

import pytest
from azure.servicebus import ServiceBusMessage
from hypothesis import given, settings
from hypothesis import strategies as st

from local_azure.servicebus import encoding as wire
from local_azure.servicebus import frames
from local_azure.servicebus.codec import DecodeError, Described, Int, Symbol, Timestamp, decode, skip, split_map
from local_azure.servicebus.message import Content, split_batch
from local_azure.servicebus.server import Limits
from local_azure.servicebus.testing import queue

NULL = wire.NULL


class Peer:
    """A hand-written AMQP client."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def send(self, body, channel=0, kind=0):
        self.writer.write(frames.frame(channel, body, kind=kind))

    async def read(self):
        """Code, fields and payload of the next frame; None for an empty one."""
        size, offset, _, _ = struct.unpack(">IBBH", await asyncio.wait_for(self.reader.readexactly(8), 5))
        body = (await self.reader.readexactly(size - 8))[offset * 4 - 8 :]
        if not body:
            return None
        (code, fields), end = decode(body)
        return code, fields, body[end:]

    async def expect(self, wanted):
        while (frame := await self.read()) is None or frame[0] != wanted:
            pass
        return frame[1], frame[2]

    async def sasl(self):
        self.writer.write(frames.SASL_HEADER)
        assert await self.reader.readexactly(8) == frames.SASL_HEADER
        await self.expect(frames.SASL_MECHANISMS)
        self.send(wire.encode_described(frames.SASL_INIT, [wire.encode_symbol("ANONYMOUS")]), kind=1)
        assert (await self.expect(frames.SASL_OUTCOME))[0][0] == 0
        self.writer.write(frames.AMQP_HEADER)
        assert await self.reader.readexactly(8) == frames.AMQP_HEADER

    async def open(self, max_frame=65536, idle=NULL):
        await self.sasl()
        channel_max = b"\x60\xff\xff"
        self.send(
            wire.encode_described(
                frames.OPEN, [wire.encode_text("p"), NULL, wire.encode_uint(max_frame), channel_max, idle]
            )
        )
        await self.expect(frames.OPEN)
        window = wire.encode_uint(5000)
        self.send(wire.encode_described(frames.BEGIN, [NULL, wire.encode_uint(0), window, window]))
        await self.expect(frames.BEGIN)

    def attach(self, handle, *, receiver, address, settle=0):
        source, target = frames.source(address if receiver else "me"), frames.target("me" if receiver else address)
        fields = [
            wire.encode_text(f"link-{handle}"),
            wire.encode_uint(handle),
            wire.TRUE if receiver else wire.FALSE,
            bytes((0x50, settle)),
            b"\x50\x01",
            source,
            target,
            NULL,
            NULL,
            NULL if receiver else wire.encode_uint(0),
        ]
        self.send(wire.encode_described(frames.ATTACH, fields))

    async def authorise(self):
        self.attach(90, receiver=True, address="$cbs")
        self.attach(91, receiver=False, address="$cbs")
        self.flow(90, 0, 10)
        application = {"operation": "put-token", "type": "jwt", "name": "sb://h/"}
        properties = [wire.encode_ulong(1), *[NULL] * 12]
        payload = wire.encode_described(0x73, properties) + b"\x00\x53\x74" + wire.encode(application)
        self.transfer(91, 0, payload + b"\x00\x53\x77" + wire.encode_text("any token"))
        _, reply = await self.expect(frames.TRANSFER)
        assert b"status-code" in reply

    def transfer(self, handle, delivery_id, payload, *, more=False, settled=False):
        self.send(frames.transfer(handle, delivery_id, b"t", settled=settled, more=more) + payload)

    def flow(self, handle, delivery_count, credit, *, drain=False):
        self.send(frames.flow(0, 0, handle=handle, delivery_count=delivery_count, credit=credit, drain=drain))


@asynccontextmanager
async def peer_of(emulator):
    reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()


def _message(body):
    return b"\x00\x53\x75" + wire.encode_binary(body)


async def _put(peer, count):
    """A sender link with `count` accepted messages."""
    peer.attach(1, receiver=False, address="amqps://localhost:1/Q")
    await peer.expect(frames.ATTACH)
    for number in range(count):
        peer.transfer(1, 10 + number, _message(str(number).encode()))
    accepted = 0
    while accepted < count:
        fields, _ = await peer.expect(frames.DISPOSITION)
        accepted += fields[2] - fields[1] + 1
        assert fields[4] == Described(frames.ACCEPTED, [])


async def test_links_before_a_token_are_refused(emulate):
    emulator = await emulate(queues=[queue("q")])
    async with peer_of(emulator) as peer:
        await peer.open()
        for handle, receiver in ((1, True), (2, False)):
            peer.attach(handle, receiver=receiver, address="q")
            attach, _ = await peer.expect(frames.ATTACH)
            detach, _ = await peer.expect(frames.DETACH)
            assert (attach[5], attach[6]) == (None, None)
            assert detach[2].value[0] == "amqp:unauthorized-access"


async def test_frames_are_split_both_ways(emulate):
    emulator = await emulate(queues=[queue("q")])
    async with peer_of(emulator) as peer:
        await peer.open(max_frame=512)
        await peer.authorise()
        await _put(peer, 0)
        payload = _message(bytes(random.Random(1).randbytes(5000)))  # noqa: S311 - test data
        for start in range(0, len(payload), 700):
            peer.transfer(1, 7, payload[start : start + 700], more=start + 700 < len(payload))
        await peer.expect(frames.DISPOSITION)
        peer.attach(2, receiver=True, address="q")
        peer.flow(2, 0, 1)
        received, more = b"", True
        while more:
            fields, part = await peer.expect(frames.TRANSFER)
            received, more = received + part, fields[5]
        assert received.endswith(payload)


async def test_aborted_delivery_leaves_nothing(emulate):
    emulator = await emulate(queues=[queue("q")])
    async with peer_of(emulator) as peer:
        await peer.open()
        await peer.authorise()
        await _put(peer, 0)
        peer.transfer(1, 0, _message(b"half"), more=True)
        aborted = [wire.encode_uint(1), NULL, NULL, NULL, NULL, wire.FALSE, NULL, NULL, NULL, wire.TRUE]
        peer.send(wire.encode_described(frames.TRANSFER, aborted))
        peer.transfer(1, 1, _message(b"whole"))
        fields, _ = await peer.expect(frames.DISPOSITION)
        assert fields[1] == 1
        assert emulator.server.broker.backlog("q").depth()["active"] == 1


async def test_credit_is_respected_and_drained(emulate):
    emulator = await emulate(queues=[queue("q")])
    async with peer_of(emulator) as peer:
        await peer.open()
        await peer.authorise()
        await _put(peer, 5)
        peer.attach(2, receiver=True, address="q", settle=1)
        peer.flow(2, 0, 3)
        bodies = [(await peer.expect(frames.TRANSFER))[1][-1:] for _ in range(3)]
        # Sent before the three arrived: delivery-count 1 with credit 3 leaves one.
        peer.flow(2, 1, 3)
        bodies.append((await peer.expect(frames.TRANSFER))[1][-1:])
        peer.flow(2, 4, 10, drain=True)
        bodies.append((await peer.expect(frames.TRANSFER))[1][-1:])
        flow, _ = await peer.expect(frames.FLOW)

        assert bodies == [b"0", b"1", b"2", b"3", b"4"]
        assert (flow[5], flow[6], flow[8]) == (14, 0, True)


async def test_one_disposition_settles_a_range(emulate):
    emulator = await emulate(queues=[queue("q")])
    async with peer_of(emulator) as peer:
        await peer.open()
        await peer.authorise()
        await _put(peer, 4)
        peer.attach(2, receiver=True, address="q")
        peer.flow(2, 0, 4)
        ids = [(await peer.expect(frames.TRANSFER))[0][1] for _ in range(4)]
        state = frames.ACCEPTED_STATE
        whole_range = [wire.TRUE, wire.encode_uint(ids[0]), wire.encode_uint(0xFFFFFFFF), wire.FALSE, state, NULL]
        peer.send(wire.encode_described(frames.DISPOSITION, whole_range))
        answered = [(await peer.expect(frames.DISPOSITION))[0][1] for _ in range(4)]
        assert answered == ids
        assert emulator.server.broker.backlog("q").depth()["active"] == 0


async def test_connection_lost_amid_a_delivery_stores_nothing_and_keeps_locks(emulate):
    emulator = await emulate(queues=[queue("q")])
    async with peer_of(emulator) as peer:
        await peer.open()
        await peer.authorise()
        await _put(peer, 1)
        peer.attach(2, receiver=True, address="q")
        peer.flow(2, 0, 1)
        await peer.expect(frames.TRANSFER)
        peer.transfer(1, 50, _message(b"half"), more=True)
        await peer.writer.drain()
    backlog = emulator.server.broker.backlog("q")
    async with asyncio.timeout(5):
        while emulator.server.connections:  # noqa: ASYNC110 - polls the server
            await asyncio.sleep(0.01)
    assert (backlog.depth()["active"], backlog.depth()["locked"]) == (1, 1)
    emulator.clock.advance(61)
    assert backlog.depth()["locked"] == 0


async def test_silent_peer_is_closed_and_an_idle_one_is_kept_awake(emulate):
    emulator = await emulate(queues=[queue("q")], limits=Limits(idle_timeout_ms=600))
    async with peer_of(emulator) as peer:
        await peer.open(idle=wire.encode_uint(200))
        assert await peer.read() is None  # an empty frame, in time for our own time-out
        fields, _ = await peer.expect(frames.CLOSE)
        assert fields[0].value[0] == "amqp:resource-limit-exceeded"
        await peer.reader.read()


async def test_a_thousand_links_on_one_connection(emulate):
    emulator = await emulate(queues=[queue("q")])
    async with peer_of(emulator) as peer:
        await peer.open()
        await peer.authorise()
        for handle in range(100, 1100):
            peer.attach(handle, receiver=True, address="q")
        for _ in range(1000):
            await peer.expect(frames.ATTACH)
        peer.flow(1099, 0, 1)
        await _put(peer, 1)
    async with asyncio.timeout(5):
        while emulator.server.connections:  # noqa: ASYNC110 - polls the server
            await asyncio.sleep(0.01)
    assert not emulator.server.broker.backlog("q")._line


NONSENSE = [
    b"GET / HTTP/1.1\r\n\r\n",
    frames.AMQP_HEADER,
    frames.SASL_HEADER + b"\xff\xff\xff\xff\x02\x01\x00\x00",
    frames.SASL_HEADER + b"\x00\x00\x00\x04\x02\x01\x00\x00",
    frames.SASL_HEADER + b"\x00\x00\x00\x0c\xff\x01\x00\x00abcd",
    frames.SASL_HEADER + frames.frame(0, b"\x00\x53\x10\x45"),
    frames.SASL_HEADER
    + frames.frame(0, wire.encode_described(frames.SASL_INIT, [wire.encode_symbol("PLAIN")]), kind=1),
]


@pytest.mark.parametrize("data", NONSENSE)
async def test_nonsense_before_open_ends_the_connection(emulate, data):
    emulator = await emulate(queues=[queue("q")])
    async with peer_of(emulator) as peer:
        peer.writer.write(data)
        await asyncio.wait_for(peer.reader.read(), 5)


DEEP = b"\xd0\x00\x00\x10\x00\x00\x00\x00\x01" * 400
MALFORMED = [
    b"\x00\x53\x14\xc0\x02\x05\x40",
    b"\x00\x53\x14" + DEEP,
    b"\x00\x53\x12\xd0\x7f\xff\xff\xff\x7f\xff\xff\xff",
    b"\x00\x53\x12\xf0\x00\x00\x00\x09\x7f\xff\xff\xff\x40",
    b"\x00" * 500,
    b"\x45",
    b"\x00\x53\x99\x45",
    wire.encode_described(frames.ATTACH, [b"\x43", b"\x43"]),
    wire.encode_described(frames.DISPOSITION, [wire.TRUE, NULL]),
    wire.encode_described(frames.BEGIN, [NULL]),
    wire.encode_described(frames.OPEN, []),
    b"\x00\x53\x14\xc1\x01\x00",
]


@pytest.mark.parametrize("body", MALFORMED)
async def test_malformed_performative_closes_the_connection_with_an_error(emulate, connect, body):
    emulator = await emulate(queues=[queue("q")])
    async with peer_of(emulator) as peer:
        await peer.open()
        peer.send(body)
        fields, _ = await peer.expect(frames.CLOSE)
        assert fields[0].value[0].startswith("amqp:")
    async with connect(emulator).get_queue_sender("q") as sender:
        await sender.send_messages(ServiceBusMessage("still serving"))


async def test_malformed_message_is_rejected_and_the_link_stays(emulate):
    emulator = await emulate(queues=[queue("q")])
    async with peer_of(emulator) as peer:
        await peer.open()
        await peer.authorise()
        await _put(peer, 0)
        for number, payload in enumerate(
            (b"", b"\x00\x53\x75", b"\x00\x53\x74\xc1\x03\x01\x40\x40", b"\x00\x53\x73\x40")
        ):
            peer.transfer(1, number, payload)
            fields, _ = await peer.expect(frames.DISPOSITION)
            assert fields[4].descriptor == frames.REJECTED
            assert len(fields[4].value[0].value) == 3  # fewer hang the SDK
        peer.transfer(1, 9, _message(b"good"))
        fields, _ = await peer.expect(frames.DISPOSITION)
        assert fields[4].descriptor == frames.ACCEPTED


async def test_random_bytes_never_stop_the_server(emulate, connect):
    emulator = await emulate(queues=[queue("q")])
    noise = random.Random(7)  # noqa: S311 - test data
    valid = frames.transfer(1, 0, b"t", settled=False, more=False) + _message(b"body")
    for round_number in range(150):
        async with peer_of(emulator) as peer:
            await peer.open()
            if round_number % 2:
                await peer.authorise()
                peer.attach(1, receiver=False, address="q")
            mutated = bytearray(valid)
            for _ in range(noise.randrange(1, 6)):
                mutated[noise.randrange(len(mutated))] = noise.randrange(256)
            peer.send(bytes(mutated), channel=0)
            peer.send(noise.randbytes(noise.randrange(1, 60)))
    async with connect(emulator).get_queue_sender("q") as sender:
        await sender.send_messages(ServiceBusMessage("still serving"))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=300)
    | st.uuids()
    | st.integers(-(2**31), 2**31 - 1).map(Int)
    | st.integers(0, 2**40).map(Timestamp)
    | st.text(max_size=20).map(Symbol),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_what_is_encoded_decodes_to_the_same(value):
    encoded = wire.encode(value)

    assert decode(encoded) == (value, len(encoded))
    assert skip(encoded, 0) == len(encoded)


@given(st.binary(max_size=200))
@settings(max_examples=400, deadline=None)
def test_arbitrary_bytes_decode_or_are_refused(data):
    for read in (decode, lambda raw: skip(raw, 0), lambda raw: split_map(raw, 0), Content.parse, split_batch):
        try:
            read(data)
        except DecodeError:
            continue
