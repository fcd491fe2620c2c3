"""`make bench-proxy`: what our proxy costs with no fault on it, beside TCP proxies of Debian, in the same run.

wrk loads one nginx directly and through each proxy, in turns, round by round. The proxy under test has a core for itself;
wrk and nginx share the other. nginx's own counter says how many requests came, the kernel what they cost the proxy. What
a proxy adds to the median is measured with one connection, so that nobody waits for anybody else.
"""  # noqa: INP001

import argparse
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from bench import CONNECTIONS, ROOT, Reading, Server, Window, client, cores, median, nginx, pinned, say
from publish import machine, publish

BEGIN, END = "<!-- proxy:begin -->", "<!-- proxy:end -->"
OURS = "shakedown's proxy"
RATE_GOAL, P50_GOAL = 20_000, 0.3e-3
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}

HAPROXY = """
global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen way
  bind 127.0.0.1:{port}
  server one 127.0.0.1:{to}
"""

STREAM = """
load_module modules/ngx_stream_module.so;
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4000; }}
stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{to}; }} }}
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How long everything takes."""

    rounds: int
    seconds: float


FULL, QUICK = Size(5, 4.0), Size(2, 1.5)


@dataclass(slots=True)
class Found:
    """Of one way to the server, round by round.

    Attributes:
        windows: rate, and CPU of the proxy per request.
        medians: seconds, over one connection.
    """

    windows: list[Window]
    medians: list[float]


def free_port() -> int:
    """A port for a proxy."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    """A proxy on the first core; its process's number.

    Raises:
        RuntimeError: it does not listen.
    """
    with subprocess.Popen(  # noqa: S603 - ours
        [*pinned(cores()[0]), *command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                if process.poll() is not None:
                    raise RuntimeError(f"{command[0]} ended")
                time.sleep(0.05)
            else:
                raise RuntimeError(f"{command[0]} does not listen")
            yield process.pid
        finally:
            process.terminate()


def proxies(to: int, folder: Path) -> dict[str, tuple[list[str], int]]:
    """The command and the port of each proxy; those that are absent are said and left out."""
    found: dict[str, tuple[list[str], int]] = {}
    port = free_port()
    program = ROOT / "shakedown" / "faults" / "agent" / "agent.py"
    ways = ["--listen", f"127.0.0.1:{port}", "--to", f"127.0.0.1:{to}"]
    found[OURS] = ([sys.executable, "-B", str(program), *ways], port)
    if haproxy := shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy"):
        port = free_port()
        config = folder / "haproxy.cfg"
        config.write_text(HAPROXY.format(port=port, to=to), encoding="utf-8")
        found["HAProxy, mode tcp, 1 thread"] = ([haproxy, "-db", "-q", "-f", str(config)], port)
    else:
        say("HAProxy is not installed (apt-get install haproxy): skipped")
    if Path("/usr/lib/nginx/modules/ngx_stream_module.so").exists():
        port = free_port()
        config = folder / "stream.conf"
        config.write_text(STREAM.format(folder=folder, port=port, to=to), encoding="utf-8")
        program_ = shutil.which("nginx") or "/usr/sbin/nginx"
        found["nginx stream, 1 worker"] = ([program_, "-c", str(config)], port)
    else:
        say("nginx's stream module is not installed (apt-get install libnginx-mod-stream): skipped")
    return found


def wrk(port: int, connections: int, seconds: float) -> list[str]:
    """The load's command."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("wrk is needed: apt-get install wrk")
    return [program, "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}", "--latency", f"http://127.0.0.1:{port}/"]


def throughput(server: Server, port: int, pid: int | None, seconds: float) -> Window:
    """Requests per second over many connections, and what each cost the proxy."""
    with client(wrk(port, CONNECTIONS, seconds + 3), core=cores()[-1]):
        time.sleep(1.0)
        first = Reading.take(server, pid or 0)
        time.sleep(seconds)
        return Window.between(first, Reading.take(server, pid or 0))


def middle(port: int, seconds: float) -> float:
    """The median of a request over one connection, in seconds."""
    done = subprocess.run(  # noqa: S603 - ours
        [*pinned(cores()[-1]), *wrk(port, 1, seconds)], capture_output=True, text=True, check=True
    )
    match = re.search(r"50%\s+([\d.]+)(us|ms|s)", done.stdout)
    if match is None:
        raise RuntimeError(f"wrk said: {done.stdout}")
    return float(match[1]) * UNITS[match[2]]


def side_by_side(server: Server, size: Size) -> dict[str, Found]:
    """Every way to the server, in turns."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        Path(name).chmod(0o755)
        ways: dict[str, tuple[int, int | None]] = {"directly": (server.port, None)}
        for title, (command, port) in proxies(server.port, Path(name)).items():
            pid = stack.enter_context(running(command, port))
            worker = psutil.Process(pid).children()  # nginx's work is done by a child
            ways[title] = (port, worker[0].pid if worker else pid)
        found = {title: Found([], []) for title in ways}
        for number in range(size.rounds):
            for title, (port, pid) in ways.items():
                one = found[title]
                one.medians.append(middle(port, size.seconds / 2))
                one.windows.append(throughput(server, port, pid, size.seconds))
                say(
                    f"round {number + 1}: {title}: {one.windows[-1].rate:,.0f}/s, {one.windows[-1].micros:.1f} µs, "
                    f"p50 {one.medians[-1] * 1e6:.0f} µs"
                )
        return found


def table(found: dict[str, Found]) -> Iterator[str]:
    """The lines."""
    yield "| way | requests/s, median | CPU µs/request of the proxy | requests/s per core of CPU | p50, 1 connection | added p50 |"
    yield "|---|---:|---:|---:|---:|---:|"
    direct = found["directly"]
    for title, one in found.items():
        rate, p50 = median([window.rate for window in one.windows]), median(one.medians)
        if one is direct:
            yield f"| {title} | {rate:,.0f} | – | – | {p50 * 1e6:.0f} µs | – |"
            continue
        cost = median([window.micros for window in one.windows])
        yield f"| {title} | {rate:,.0f} | {cost:.1f} | {1e6 / cost:,.0f} | {p50 * 1e6:.0f} µs | {added(direct, one) * 1e6:.0f} µs |"
    ours = found[OURS]
    cost, extra = median([window.micros for window in ours.windows]), added(direct, ours)
    per_core = 1e6 / cost
    yield ""
    yield (
        f"- Goal: at least {RATE_GOAL:,} requests/s per core. In this run {per_core:,.0f} for a second of the proxy's own CPU "
        f"time: {'met' if per_core >= RATE_GOAL else 'not met'}."
    )
    yield f"- Goal: added p50 below {P50_GOAL * 1e3:g} ms. In this run {extra * 1e3:.3f} ms: {'met' if extra < P50_GOAL else 'not met'}."


def added(direct: Found, one: Found) -> float:
    """Seconds that the median is longer than directly: the median of the rounds' own differences."""
    return median([its - straight for its, straight in zip(one.medians, direct.medians, strict=True)])


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="half a minute, not published")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    noise = psutil.cpu_percent(interval=2) / 100
    with nginx() as server:
        found = side_by_side(server, size)
    text = "\n".join(
        [
            machine(noise), "",
            f"{CONNECTIONS} connections, {size.rounds} rounds of {size.seconds:g} s, no fault active.", "", *table(found),
        ]
    )  # fmt: skip
    sys.stdout.write(text + "\n")
    if not options.quick:
        publish(BEGIN, END, text)


if __name__ == "__main__":
    main()
