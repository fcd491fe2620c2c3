"""Disturbances by the kernel's network emulator, at the way out of an interface.

::

    root  prio <handle>:          every packet takes band 1, a plain queue, as if we were not there …
            ├─ band 1
            └─ band 2  netem      … unless a rule of ours says `-j CLASSIFY --set-class <handle>:2`

Which packets go through netem is said by iptables alone, so they are chosen as for every other mechanism, are counted
by the same counters, and are let go at the deadline by the same `-m time`. Nothing is put in the place of what is there
already: an interface whose root is not the kernel's own `noqueue` is left alone.
"""

import asyncio
import atexit
import json

import rules

HANDLES = range(0x5D00, 0x5E00)  # ours; one of them for each fault
BAND = 2
LIMIT = 100000  # packets waiting; netem's own 1000 would drop some at high rates
UNTOUCHED = ("noqueue",)


def commands(device, handle, disturbance):
    """The command lines that put netem on a device; the first one takes the root, or fails where it is taken."""
    return [
        ["tc", "qdisc", "add", "dev", device, "root", "handle", f"{handle:x}:", "prio", "bands", "2", "priomap", *["0"] * 16],
        ["tc", "qdisc", "add", "dev", device, "parent", f"{handle:x}:{BAND}", "handle", f"{handle + 0x100:x}:", "netem",
         "limit", str(LIMIT), *disturbance],
    ]  # fmt: skip


def removal(device, handle):
    """The command line that takes it away; the kernel refuses it when the root carries another handle."""
    return ["tc", "qdisc", "del", "dev", device, "root", "handle", f"{handle:x}:"]


def disturbance(kind, order):
    """What netem is told to do with each packet that goes through it: all of them, as the share is chosen before."""
    if kind == "delay":
        jitter = [f"{order['jitter'] * 1e3:.3f}ms"] if order.get("jitter") else []
        return ["delay", f"{order['latency'] * 1e3:.3f}ms", *jitter]
    if kind == "reordering":
        return ["delay", f"{order['gap'] * 1e3:.3f}ms"]
    return {"corruption": ["corrupt", "100%"], "duplication": ["duplicate", "100%"], "loss": ["loss", "100%"]}[kind]


def qdiscs(device, statistics=False):
    """The queueing disciplines of a device."""
    code, output = rules.run("tc", *(["-s"] if statistics else []), "-j", "qdisc", "show", "dev", device)
    return json.loads(output) if code == 0 and output.strip() else []


def roots():
    """The interfaces that lead out of the namespace, with the kind of their root."""
    code, output = rules.run("ip", "-j", "link", "show", "up")
    found = {}
    for link in json.loads(output) if code == 0 else []:
        if "LOOPBACK" not in link["flags"]:
            name = link["ifname"]
            found[name] = next((each["kind"] for each in qdiscs(name) if each.get("root")), "noqueue")
    return found


def foreign(found):
    """The interfaces whose root somebody else has put there."""
    return {name: kind for name, kind in found.items() if kind not in UNTOUCHED}


def works():
    """Whether the kernel has netem and prio: tried on a pair of interfaces of our own."""
    device = "sdprobe0"
    if rules.run("ip", "link", "add", device, "type", "veth", "peer", "name", "sdprobe1")[0]:
        return False
    try:
        return all(rules.run(*line)[0] == 0 for line in commands(device, HANDLES[0], ["delay", "1ms"]))
    finally:
        rules.run("ip", "link", "del", device)


class Netem:
    """netem on every interface that leads out."""

    def __init__(self, handle, disturbance):
        self.handle, self.disturbance = handle, disturbance
        self.devices = []
        self.draining = False

    def start(self):
        for device, kind in roots().items():
            if kind not in UNTOUCHED:
                raise RuntimeError(f"{device} has a queueing discipline of somebody else's: {kind}")
        atexit.register(self.stop)
        for device in roots():
            self.devices.append(device)
            for line in commands(device, self.handle, self.disturbance):
                code, output = rules.run(*line)
                if code:
                    raise RuntimeError(f"{' '.join(line)}: {output.strip()}")

    def stop(self, drained_in=0.0):
        """Take it away: once what waits in it has left, as a discipline that is removed drops what it holds; now, if it
        is called again or the agent ends."""
        if drained_in and not self.draining and self.figures()["qlen"]:
            self.draining = True
            asyncio.get_running_loop().call_later(drained_in, self.stop)
            return
        while self.devices:
            rules.run(*removal(self.devices.pop(), self.handle))

    def present(self):
        """How many of our disciplines there are."""
        ours = (f"{self.handle:x}:", f"{self.handle + 0x100:x}:")
        return sum(each["handle"] in ours for device in roots() for each in qdiscs(device))

    def figures(self):
        """Packets that went through, and those that netem dropped."""
        ours = [
            each
            for device in self.devices
            for each in qdiscs(device, statistics=True)
            if each["handle"] == f"{self.handle + 0x100:x}:"
        ]
        return {key: sum(each.get(key, 0) for each in ours) for key in ("packets", "drops", "backlog", "qlen")}
