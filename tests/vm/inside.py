"""Runs inside the virtual machine: two network namespaces, the agent in one of them, and a look at what it does."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

PEER, TARGET = "10.0.0.1", "10.0.0.2"
FILES = Path("/tests")
DATAGRAMS, ECHO = (FILES / "datagrams.py").read_text(), (FILES / "echo.py").read_text()
REMOVE_RULES = (FILES / "remove_rules.sh").read_text()


def sh(*words, namespace=None, check=True):
    inside = ["ip", "netns", "exec", namespace] if namespace else []
    done = subprocess.run([*inside, *words], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr or done.stdout}")
    return done.stdout


def tell(name, **found):
    found["at"] = round(time.monotonic(), 1)  # seconds since the machine began
    sys.stdout.write("RESULT " + json.dumps({name: found}) + "\n")
    sys.stdout.flush()


def rules():
    return [line for line in sh("iptables-nft-save", namespace="target").splitlines() if line.startswith("-A")]


def disciplines():
    return sh("tc", "qdisc", "show", "dev", "eth0", namespace="target").strip()


def datagrams(count=300, pause=0.003, after=0.5):
    return json.loads(sh("python3", "-c", DATAGRAMS, PEER, str(count), str(pause), str(after), namespace="target"))


class Agent:
    def __init__(self):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", "target", "python3", "-u", "/agent/agent.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.number = 0

    def ask(self, do, **order):
        self.number += 1
        self.process.stdin.write(json.dumps({"id": self.number, "do": do, **order}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if not answer["ok"]:
            raise RuntimeError(answer["error"])
        return answer

    def inject(self, kind, number, deadline=600.0, **order):
        tag = f"shakedown:{number:012x}"
        base = {"direction": "out", "addresses": [], "ports": [], "means": {"out": "netem"}, "handle": 0x5D00 + number}
        self.ask("inject", kind=kind, tag=tag, deadline=time.time() + deadline, **{**base, **order})
        return tag


def treat(agent, name, kind, number, echo=None, **order):
    """One fault's life, seen by a client."""
    before = disciplines(), rules()
    tag = agent.inject(kind, number, **order)
    during = disciplines()
    seen = datagrams()
    found = {"during": during, "seen": seen, "stats": agent.ask("stats", tag=tag)}
    if echo:
        found["echo"] = agent.ask("echo", host=PEER, count=5, within=10.0, patience=3.0, marked=True)["seconds"]
    agent.ask("revert", tag=tag)
    until = time.time() + 5
    while agent.ask("stats", tag=tag)["rules"] and time.time() < until:
        time.sleep(0.1)
    tell(name, **found, restored=(disciplines(), rules()) == before)


def main():
    for name in ("target", "peer"):
        sh("ip", "netns", "add", name)
        sh("ip", "link", "set", "lo", "up", namespace=name)
    sh("ip", "link", "add", "eth0", "netns", "target", "type", "veth", "peer", "name", "eth0", "netns", "peer")
    for name, address in (("target", TARGET), ("peer", PEER)):
        sh("ip", "address", "add", f"{address}/24", "dev", "eth0", namespace=name)
        sh("ip", "link", "set", "eth0", "up", namespace=name)
    echo = subprocess.Popen(["ip", "netns", "exec", "peer", "python3", "-c", ECHO])
    agent = Agent()
    tell("hello", abilities=agent.ask("hello")["abilities"], kernel=os.uname().release, qdisc=disciplines())
    tell("before", seen=datagrams(100), echo=agent.ask("echo", host=PEER, count=5, within=5.0, patience=1.0)["seconds"])
    treat(agent, "delay", "delay", 1, echo=True, latency=0.2, jitter=0.0, share=1.0)
    treat(agent, "jitter", "delay", 2, latency=0.1, jitter=0.05, share=1.0, addresses=[PEER], ports=[9000])
    treat(agent, "elsewhere", "delay", 3, latency=0.2, jitter=0.0, share=1.0, addresses=["10.0.0.77"])
    treat(agent, "corruption", "corruption", 4, share=0.2)
    treat(agent, "duplication", "duplication", 5, share=0.2)
    treat(agent, "reordering", "reordering", 6, share=0.2, gap=0.05)
    treat(agent, "loss", "loss", 7, share=0.2, direction="both")
    treat(agent, "queue", "delay", 8, latency=0.2, jitter=0.0, share=1.0, means={"out": "queue"})

    tell("after", seen=datagrams(100))

    # two at once: the second finds the root taken by the first, and uses a queue
    first = agent.inject("delay", 9, latency=0.1, share=1.0)
    second = agent.inject("corruption", 10, share=0.2)
    seen = datagrams()
    stats = [agent.ask("stats", tag=tag) for tag in (first, second)]
    for tag in (first, second):
        agent.ask("revert", tag=tag)
    tell("together", seen=seen, stats=stats)
    time.sleep(1)

    # somebody else's discipline is at the root: it is let alone
    sh("tc", "qdisc", "add", "dev", "eth0", "root", "handle", "77:", "prio", namespace="target")
    foreign, ground = disciplines(), agent.ask("ground")["foreign"]
    tag = agent.inject("delay", 11, latency=0.1, share=1.0)
    during, seen, stats = disciplines(), datagrams(100), agent.ask("stats", tag=tag)
    agent.ask("revert", tag=tag)
    sh("sh", "-c", REMOVE_RULES, "rules", tag, "5d0b:", namespace="target")
    tell("foreign", ground=ground, same=foreign == during == disciplines(), seen=seen, stats=stats)
    sh("tc", "qdisc", "del", "dev", "eth0", "root", namespace="target")

    # the agent is killed: the rules go inert at the deadline by themselves, and the undo removes rules and discipline
    bare = disciplines(), rules()
    agent.inject("delay", 12, deadline=25.0, latency=0.3, share=1.0)
    begun = time.time()
    agent.process.kill()
    agent.process.wait()
    killed = datagrams(20)
    time.sleep(max(begun + 28 - time.time(), 0))
    late, left = datagrams(20), disciplines()
    sh("sh", "-c", REMOVE_RULES, "rules", f"shakedown:{12:012x}", "5d0c:", namespace="target")
    tell("killed", killed=killed, late=late, left=left, restored=(disciplines(), rules()) == bare)

    # the agent's input ends: it takes its discipline with it
    agent = Agent()
    agent.inject("delay", 13, latency=0.3, share=1.0)
    agent.process.stdin.close()
    code = agent.process.wait()
    tell("ended", code=code, restored=(disciplines(), rules()) == bare)
    echo.kill()


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:
        tell("broken", error=f"{type(error).__name__}: {error}")
        raise
    sys.exit(0)
