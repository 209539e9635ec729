"""As many connections as there may be: whoever asks finds room, whoever says nothing makes it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from webui.ui.connections import ASKING_S, SILENT_S, TICK_S, Connections, rested


class Asked:
    """uvicorn's protocol, as far as it is looked at: b"get PATH" asks, b"post" begins a body, b"end" ends it."""

    def __init__(self):
        self.cycle = self.scope = self.transport = None
        self.flow = SimpleNamespace(read_paused=False)

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, error):
        pass

    def data_received(self, data):
        verb, _, path = data.decode().partition(" ")
        if verb in ("get", "post"):
            self.scope = {"path": path}
            self.cycle = SimpleNamespace(more_body=verb == "post", response_complete=False)
        elif verb == "end":
            self.cycle.more_body = False


class Line:
    def __init__(self, address):
        self.address, self.closed, self.protocol = address, False, None

    def get_extra_info(self, name):
        return (self.address, 1)

    def get_protocol(self):
        return self.protocol

    def is_closing(self):
        return self.closed

    def abort(self):
        self.closed = True


class Server:
    def __init__(self, in_all, of_one=1000):
        self.time = 0.0
        self.all = Connections(in_all, of_one, lambda: self.time)
        self.make = self.all.protocols(Asked)

    def connect(self, *said, address="127.0.0.1"):
        line = Line(address)
        line.protocol = self.make()
        line.protocol.connection_made(line)
        for data in said:
            line.protocol.data_received(data)
        return line


def run(test):
    async def inside():
        test()

    with ThreadPoolExecutor(1) as pool:  # a browser's test may have left a loop in this thread
        pool.submit(asyncio.run, inside()).result()


def test_silent_connections_make_room_for_those_that_ask():
    def test():
        server = Server(5)
        busy = server.connect(b"get /api/jobs/1/events")
        stream = server.connect(b"get /gradio_api/heartbeat/abc")
        silent = [server.connect() for _ in range(3)]
        half = server.connect(b"post /api/jobs")
        assert silent[0].closed and not half.closed, "the oldest that said nothing"
        more = [server.connect(b"get /") for _ in range(4)]
        assert all(line.closed for line in (*silent, half, stream)), "then bodies, then heartbeats"
        assert not busy.closed and [line.closed for line in more] == [False] * 4
        assert server.connect(b"get /").closed, "all are busy: there is no room"
        assert len(server.all.open) == 5

    run(test)


def test_an_address_has_its_share_and_this_machine_has_all():
    def test():
        server = Server(100, of_one=3)
        here = [server.connect(b"get /") for _ in range(10)]
        there = [server.connect(b"get /", address="192.0.2.7") for _ in range(4)]
        other = server.connect(b"get /", address="192.0.2.8")
        assert not any(line.closed for line in (*here, *there[:3], other)) and there[3].closed

    run(test)


def test_who_takes_too_long_to_ask_is_let_go_and_streams_are_not():
    def test():
        server = Server(10)
        silent, body = server.connect(), server.connect(b"post /api/jobs")
        paused, slow = server.connect(b"post /api/jobs"), server.connect(b"post /api/jobs")
        paused.protocol._inner.flow.read_paused = True  # nobody takes it from us
        stream = server.connect(b"get /api/jobs/1/events")
        again = server.connect(b"get /")
        again.protocol._inner.cycle.response_complete = True
        server.time = ASKING_S - 1
        again.protocol.data_received(b"half")
        server.time = ASKING_S + 1
        slow.protocol.data_received(b"more")
        server.all._look()
        assert silent.closed and not again.closed and not body.closed
        server.time = SILENT_S + 2
        server.all._look()
        assert body.closed and again.closed
        assert not (paused.closed or slow.closed or stream.closed)

    run(test)


def test_a_connection_that_is_another_by_now_keeps_none_from_being_looked_at():
    def test():
        server = Server(10)
        socket, closing, silent = server.connect(b"get /ws"), server.connect(), server.connect()
        socket.protocol, closing.closed = object(), True
        server.time = ASKING_S + 1
        server.all._look()
        assert silent.closed and not socket.closed and not server.all.open

    run(test)


def test_a_resting_server_looks_once_a_second_until_it_is_to_stop():
    async def looks():
        looked = []

        async def on_tick(counter):
            looked.append(counter)
            return False

        server = SimpleNamespace(on_tick=on_tick)
        stop = rested(server)
        turn = asyncio.create_task(server.on_tick(7))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not looked
        stop()
        assert await asyncio.wait_for(turn, TICK_S / 2) is False
        await asyncio.wait_for(server.on_tick(8), TICK_S / 2)  # nor does anybody wait again
        return looked

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, looks()).result() == [0, 0]
