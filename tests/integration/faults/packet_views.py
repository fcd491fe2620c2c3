"""What the tests of faults of packets watch: a client in another container counts what comes back."""

import json
from dataclasses import dataclass
from typing import Any

from shakedown.services import System

__all__ = ["Seen", "datagrams", "echo_service", "in_namespace", "namespace_state", "trips"]

_SERVER = """
import http.server, socket, socketserver, threading
def datagrams():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.bind(("0.0.0.0", 9000))
    while True:
        data, who = s.recvfrom(65536)
        s.sendto(data, who)
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
threading.Thread(target=datagrams, daemon=True).start()
tcp = socketserver.ThreadingTCPServer(("0.0.0.0", 9001), Echo)
threading.Thread(target=tcp.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("", 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""

_DATAGRAMS = """
import json, select, socket, sys, time
host, count, pause, after = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((host, 9000))
s.setblocking(False)
sent, back, trips, bad, late, last, refused = {}, {}, [], 0, 0, -1, 0
def drain(seconds):
    global bad, late, last
    until = time.monotonic() + seconds
    while select.select([s], [], [], max(until - time.monotonic(), 0))[0]:
        try:
            data = s.recv(2000)
        except OSError:
            continue
        if data[8:] != b"x" * 92 or not data[:8].isdigit() or int(data[:8]) not in sent:
            bad += 1
            continue
        number = int(data[:8])
        trips.append(time.monotonic() - sent[number])
        back[number] = back.get(number, 0) + 1
        late += number < last
        last = max(last, number)
for number in range(count):
    sent[number] = time.monotonic()
    try:
        s.send(b"%08d" % number + b"x" * 92)
    except OSError:
        refused += 1
    drain(pause)
drain(after)
trips.sort()
print(json.dumps({"sent": count, "distinct": len(back), "total": sum(back.values()), "bad": bad, "late": late,
                  "refused": refused, "median": trips[len(trips) // 2] if trips else None}))
"""

_TRIPS = """
import json, socket, sys, time
s = socket.create_connection((sys.argv[1], 9001), timeout=8)
wrong, begun, times = 0, time.monotonic(), []
for number in range(int(sys.argv[2])):
    data, came, at = bytes([number % 251]) * 1000, b"", time.monotonic()
    s.sendall(data)
    while len(came) < 1000:
        came += s.recv(65536)
    wrong += came != data
    times.append(time.monotonic() - at)
print(json.dumps({"wrong": wrong, "slow": sum(one > 0.15 for one in times), "median": sorted(times)[len(times) // 2]}))
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of datagrams that were sent to be echoed.

    Attributes:
        distinct, total: datagrams that came back, each once, and all.
        bad: with a wrong byte.
        late: after one that was sent later.
        refused: the sender was told an error.
        median: of the round trips, in seconds.
    """

    sent: int
    distinct: int
    total: int
    bad: int
    late: int
    refused: int
    median: float | None

    @property
    def lost(self) -> float:
        """Share."""
        return 1 - (self.distinct + self.bad) / self.sent


def echo_service(image: str) -> dict[str, Any]:
    """Sends back what comes: datagrams at 9000, streams at 9001; HTTP at 8000."""
    return {"image": image, "entrypoint": ["python3", "-c", _SERVER], "ports": {"http": 8000},
            "health": {"http": "http:/", "within": "60s"}, "stop_grace": "1s"}  # fmt: skip


def _run(system: System, source: str, program: str, *words: object) -> dict[str, Any]:
    code, output = system.runner(source).run_inside(["python3", "-c", program, *map(str, words)])
    assert code == 0, output
    return json.loads(output if isinstance(output, str) else output.decode())


def datagrams(
    system: System, source: str, target: str, count: int = 1500, pause: float = 0.001, after: float = 0.3
) -> Seen:
    """Send datagrams from one service to another, one after the other, and look at what comes back."""
    return Seen(**_run(system, source, _DATAGRAMS, target, count, pause, after))


def trips(system: System, source: str, target: str, count: int = 200) -> dict[str, Any]:
    """Send blocks over one connection, each after the last one came back."""
    return _run(system, source, _TRIPS, target, count)


def in_namespace(engine: Any, image: str, system: System, service: str, script: str) -> str:
    """Run a script with iptables and tc in a service's namespace."""
    output = engine.containers.run(
        image, entrypoint=["sh", "-ec", script], network_mode=f"container:{system.handle(service).container}",
        cap_add=["NET_ADMIN", "NET_RAW"], remove=True, stderr=False,
    )  # fmt: skip
    return output.decode()


def namespace_state(engine: Any, image: str, system: System, service: str) -> str:
    """Every rule of a service's namespace, and the queueing disciplines of its interfaces, without their counters."""
    script = (
        "for t in iptables-nft iptables-legacy ip6tables-nft ip6tables-legacy; do echo $t; $t-save; done; tc qdisc show"
    )
    tool, found = "", []
    for line in in_namespace(engine, image, system, service, script).splitlines():
        tool = line if line.startswith(("iptables", "ip6tables")) else tool
        if line.startswith(("-A", "qdisc")):
            found.append(f"{tool} {line}")
    return "\n".join(sorted(found))
