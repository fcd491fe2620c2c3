"""What the proxy itself costs: an echo called directly and through the proxy, turn by turn, by a process of its own."""

import asyncio
import json
import sys

ROUNDS = 150
SMALL = 256  # bytes there and back

# Echo and caller are plain blocking sockets in one process; what they cost falls on both ways alike.
_CALLER = """
import json, socket, sys, threading, time
rounds, size, through = int(sys.argv[1]), int(sys.argv[2]), ("127.0.0.1", int(sys.argv[3]))
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
sys.stdin.readline()
def serve(taken):
    taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := taken.recv(65536):
        taken.sendall(data)
def take():
    while True:
        threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
threading.Thread(target=take, daemon=True).start()
def call(address):
    made = socket.create_connection(address, timeout=5)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made
def trip(made):
    begun = time.perf_counter()
    made.sendall(b"x" * size)
    left = size
    while left:
        left -= len(made.recv(65536))
    return time.perf_counter() - begun
ways = [call(listening.getsockname()), call(through)]
found = [[], []]
for _ in range(rounds):
    for way, times in zip(ways, found):
        times.append(trip(way))
direct, proxied = [sorted(times[len(times) // 10:]) for times in found]
print(json.dumps({"direct": direct, "proxied": proxied}), flush=True)
"""


async def measure(proxy):
    """Seconds that a round trip takes longer through the proxy with no fault on it: median, and the 95th percentile."""
    port = await proxy.listen("127.0.0.1", 0, "calibration", to=lambda: echo)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CALLER, str(ROUNDS), str(SMALL), str(port),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        echo = ("127.0.0.1", int(await asyncio.wait_for(child.stdout.readline(), 10)))
        child.stdin.write(b"\n")
        times = json.loads(await asyncio.wait_for(child.stdout.readline(), 10))
    finally:
        proxy.servers.pop().close()
        try:
            child.kill()
        except ProcessLookupError:
            pass
        await child.wait()
    direct, proxied = times["direct"], times["proxied"]

    def beyond(share):
        return max(proxied[int(share * len(proxied))] - direct[int(share * len(direct))], 0.0)

    return {"p50": beyond(0.5), "p95": beyond(0.95), "direct": direct[len(direct) // 2]}
