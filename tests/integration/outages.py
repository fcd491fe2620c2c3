"""A service whose recovery is known to the millisecond: frozen from outside, and failing for a while after it goes on.

    python outages.py PORT SEED LONGEST      stamps on standard output, a line of JSON for each outage

Frozen (SIGSTOP) it answers nothing. When it goes on it notices the gap in its own clock, answers 503 for a time drawn from
the seed (0 to LONGEST seconds), its /health as well, and notes by its own monotonic clock when it sent its first good answer.
"""

import asyncio
import json
import random
import sys
import time

GAP = 0.4  # seconds in which even a busy machine lets a process run for a moment
TICK = 0.01
PAGE = b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\nok"


class Outages:
    def __init__(self, seed: int, longest: float) -> None:
        self._draw, self._longest = random.Random(seed), longest
        self._seen = time.monotonic()
        self._failing_until: float | None = None

    def look(self) -> bool:
        """Whether it answers well now."""
        now = time.monotonic()
        if now - self._seen > GAP:
            self._failing_until = now + self._draw.uniform(0.0, self._longest)
        self._seen = now
        return self._failing_until is None or now >= self._failing_until

    def answered(self) -> None:
        """A good answer was sent."""
        if self._failing_until is not None:
            print(json.dumps({"back": time.monotonic()}), flush=True)  # noqa: T201 - told to the parent
            self._failing_until = None


class Connection(asyncio.Protocol):
    def __init__(self, outages: Outages) -> None:
        self._outages, self._rest = outages, b""

    def connection_made(self, transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for request in requests:
            good = self._outages.look()
            self._transport.write(PAGE % (b"200 OK" if good else b"503 Service Unavailable"))
            if good and b"/health" not in request.split(b"\r\n")[0]:
                self._outages.answered()


async def main(port: int, seed: int, longest: float) -> None:
    outages = Outages(seed, longest)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(outages), "127.0.0.1", port)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)  # noqa: T201 - told to the parent
    while True:
        await asyncio.sleep(TICK)
        outages.look()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
