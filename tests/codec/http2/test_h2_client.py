"""Conversations with the client of the `h2` package: another implementation sees valid frames and whole messages."""

import random
from collections import defaultdict

import h2.config
import h2.connection
import h2.events
import h2.settings

from ianus.codec.http2.recording import RecordedConnection
from tests.engine import limits as new_limits


class Conversation:
    """A client of h2 and a codec that exchange their output in random pieces."""

    def __init__(self, bits: random.Random, window: int) -> None:
        self.bits = bits
        self.server = RecordedConnection(new_limits(), stream_window=65535, connection_window=65535)
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.client.initiate_connection()
        self.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.heads: dict[int, list[tuple[bytes, bytes]]] = {}
        self.bodies: defaultdict[int, bytes] = defaultdict(bytes)
        self.trailers: dict[int, list[tuple[bytes, bytes]]] = {}
        self.ended: set[int] = set()
        self.uploads: defaultdict[int, bytes] = defaultdict(bytes)
        self.unsent: dict[int, bytes] = {}

    def exchange(self) -> None:
        """Passes the output of both sides on."""
        self.client_sends()
        output = self.client.data_to_send()
        while output:
            cut = self.bits.randrange(1, 3000)
            self.server.feed(output[:cut])
            output = output[cut:]
        for event in self.server.take_events():
            if event[0] == "body":
                self.uploads[event[1]] += event[2]
                self.server.consume(event[1], len(event[2]))
            assert event[0] in ("request", "body", "end", "writable", "sent"), event
        self.server.fill(self.bits.randrange(1, 40000))
        for received in self.client.receive_data(self.server.take_output()):
            self.on_event(received)

    def on_event(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self.heads[event.stream_id] = event.headers
            case h2.events.DataReceived():
                self.bodies[event.stream_id] += event.data
                self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                self.trailers[event.stream_id] = event.headers
            case h2.events.StreamEnded():
                self.ended.add(event.stream_id)
            case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                raise AssertionError(event)

    def client_sends(self) -> None:
        for stream, rest in list(self.unsent.items()):
            size = min(len(rest), self.client.local_flow_control_window(stream), 16384)
            self.unsent[stream] = rest[size:]
            last = size == len(rest)
            if size or last:
                self.client.send_data(stream, rest[:size], end_stream=last)
            if last:
                del self.unsent[stream]


def test_random_conversations() -> None:
    for seed in range(12):
        bits = random.Random(seed)
        talk = Conversation(bits, bits.choice([2000, 65535, 1 << 20]))
        talk.exchange()
        uploads, downloads, trailers = {}, {}, {}
        for number in range(25):
            stream = number * 2 + 1
            uploads[stream] = bits.randbytes(bits.choice([0, 10, 1000, 80000]))
            downloads[stream] = bits.randbytes(bits.choice([0, 5, 700, 17000]))
            fields = [(":method", "POST"), (":scheme", "http"), (":path", f"/{number}"), (":authority", "h")]
            talk.client.send_headers(stream, [*fields, (f"x-{number % 3}", "v" * bits.randrange(50))])
            talk.unsent[stream] = uploads[stream]
            talk.exchange()
            talk.server.send_head(stream, 200, [(b"x-same", b"same"), (b"x-%d" % (number % 5), b"v")])
            for at in range(0, len(downloads[stream]), 6000):
                talk.server.send_body(stream, downloads[stream][at : at + 6000])
                if bits.randrange(2):
                    talk.exchange()
            if number % 4 == 0:
                trailers[stream] = [(b"x-sum", b"%d" % number)]
                talk.server.send_trailers(stream, trailers[stream])
            else:
                talk.server.send_end(stream)
        for _ in range(40000):
            if len(talk.ended) == 25 and not talk.unsent:
                break
            talk.exchange()
        talk.exchange()
        for stream in downloads:
            talk.server.release(stream)
        assert {stream: talk.uploads[stream] for stream in uploads} == uploads
        assert {stream: talk.bodies[stream] for stream in downloads} == downloads
        assert talk.trailers == trailers
        assert all(
            talk.heads[n * 2 + 1] == [(b":status", b"200"), (b"x-same", b"same"), (b"x-%d" % (n % 5), b"v")]
            for n in range(25)
        )
        assert talk.server.streams == 0
