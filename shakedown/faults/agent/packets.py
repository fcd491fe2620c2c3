"""Disturbances of single packets.

::

    which packets?   iptables: interface, addresses, ports; a rule that only counts them
    how many?        iptables `statistic`: a share of them …
    what then?       loss:  dropped in the kernel
                     netem: sent into the kernel's emulator (netem.py), on the way out
                     queue: handed to us (nfqueue.py, queued.py), either way

The rules' own counters say how many packets were considered and how many were hit. Packets of the loopback interface
are let alone.
"""

import itertools

import echo
import netem
import nfqueue
import queued
import rules

SILENT = 65001  # a queue that nobody listens to, and no --queue-bypass: packets vanish without an error for the sender
QUEUES = itertools.count(27000)
CHAINS = {  # (table, chain) by kind and direction; a packet that a queue lets through skips the rest of its chain
    "loss": {"in": ("raw", "PREROUTING"), "out": ("raw", "OUTPUT")},
    "partition": {"in": ("raw", "PREROUTING"), "out": ("raw", "OUTPUT")},
    "corruption": {"in": ("mangle", "PREROUTING"), "out": ("mangle", "POSTROUTING")},
    "duplication": {"in": ("mangle", "PREROUTING"), "out": ("mangle", "POSTROUTING")},
    "reordering": {"in": ("mangle", "INPUT"), "out": ("mangle", "OUTPUT")},
    "delay": {"in": ("mangle", "INPUT"), "out": ("mangle", "OUTPUT")},
}
NOT_COPIES = ["-m", "mark", "!", "--mark", hex(queued.COPY_MARK)]


def abilities(tool):
    """What works in this kernel, found by trying."""
    if tool is None:
        return {"statistic": False, "queue": False, "netem": False}
    chance = ["-m", "statistic", "--mode", "random", "--probability", "0.5"]
    return {
        "statistic": rules.supports(tool, *chance),
        "queue": takes(tool, ["NFQUEUE", "--queue-num", "27998", "--queue-bypass"]) and nfqueue.works(),
        "netem": takes(tool, ["CLASSIFY", "--set-class", "5d00:2"]) and netem.works(),
    }


def takes(tool, target):
    """Whether the kernel takes a rule with this target; the rule matches nothing."""
    rule = ["-s", "0.0.0.1/32", "-p", "tcp", "--dport", "1", "-j", *target]
    if rules.run(tool, "-w", "-t", "mangle", "-A", "POSTROUTING", *rule)[0]:
        return False
    rules.run(tool, "-w", "-t", "mangle", "-D", "POSTROUTING", *rule)
    return True


def ground():
    """What lies in the way: interfaces whose root queueing discipline is somebody else's."""
    return {"foreign": netem.foreign(netem.roots())}


def has_ipv6():
    """Whether the namespace has an address of IPv6 that leads out."""
    try:
        with open("/proc/net/if_inet6") as file:
            return any(line.split()[3] == "00" for line in file)
    except OSError:
        return False


class Batch:
    """The rules of one fault, for IPv4 and, where the namespace has it, IPv6: in force together, and gone together.

    One call of the tool, so that no time passes between the first rule and the last.
    """

    def __init__(self, agent, order):
        one = agent.rules(order)
        self.tag, self.timed, self.marks = one.tag, one.timed, one.marks
        self.tools = {4: one.tool, **({6: one.tool.replace("iptables", "ip6tables")} if has_ipv6() else {})}
        self.added = {}  # (family, table): rules, as text
        self.extra = []  # what else is to be gone: things with `present`

    def add(self, table, chain, match, target=(), family=None):
        """Put a rule at the end of this fault's own, for one family of addresses or for all; without a target it only
        counts. Nothing happens before `commit`."""
        for each in self.tools if family is None else {family} & set(self.tools):
            words = [chain, *match, *self.marks, *(["-j", *target] if target else [])]
            self.added.setdefault((each, table), []).append(" ".join(words))

    def commit(self):
        for family, tool in self.tools.items():
            tables = {
                table: [f"-I {line}" for line in reversed(lines)]
                for (each, table), lines in self.added.items()
                if each == family
            }
            if tables:
                code, output = rules.restore(tool, tables)
                if code:
                    raise RuntimeError(f"{tool}-restore: {output.strip()}; {next(iter(tables.values()))[0]}")

    def remove(self):
        """Delete every rule that was added; what is gone already is no error."""
        added, self.added = self.added, {}
        for family, tool in self.tools.items():
            rules.delete(
                tool, [(table, one) for (each, table), lines in added.items() if each == family for one in lines]
            )

    @property
    def placed(self):
        """How many rules there should be, and disciplines of the fault."""
        return sum(map(len, self.added.values())) + len(self.extra)

    def present(self):
        """How many rules with the tag there are, and disciplines of the fault."""
        return len(list(self.lines())) + sum(bool(each.present()) for each in self.extra)

    def lines(self):
        """Every rule with the tag: its packets, chain and target."""
        for tool in self.tools.values():
            yield from rules.tagged(tool, self.tag)

    def counts(self, chain):
        """Packets considered and packets hit in a chain."""
        seen = hit = 0
        for packets, where, target in self.lines():
            if where == chain:
                seen, hit = (seen, hit + packets) if target else (seen + packets, hit)
        return {"seen": seen, "hit": hit}


def ways(order):
    """The directions that an order means."""
    direction = order.get("direction", "both")
    return ("in", "out") if direction == "both" else (direction,)


def matches(order, direction):
    """Each group of packets that an order means, and its family of addresses: None for both.

    The groups have no packet in common, so that each packet is rolled for once.
    """
    side, other = ("-i", "-s") if direction == "in" else ("-o", "-d")
    hosts = [(6 if ":" in one else 4, [other, one]) for one in order["addresses"]] or [(None, [])]
    ports = ",".join(map(str, order.get("ports", [])))
    kinds = [["-p", kind, "-m", "multiport", "--ports", ports] for kind in ("tcp", "udp")] if ports else [[]]
    for family, host in hosts:
        for kind in kinds:
            yield family, ["!", side, "lo", *host, *kind]


class Partition:
    """No packet to or from some addresses."""

    kind = "partition"

    def __init__(self, agent, order):
        self.agent, self.order = agent, order
        self.rules = Batch(agent, order)

    def gone(self, direction):
        """What makes a packet vanish. On the way out DROP would tell the sender (EPERM), which no network does."""
        silent = direction == "out" and self.agent.abilities["queue"]
        return ["NFQUEUE", "--queue-num", str(SILENT)] if silent else ["DROP"]

    def aim(self, direction, chance, target, extra=()):
        """The rules of one direction: those that count, and those that hit."""
        table, chain = CHAINS[self.kind][direction]
        for family, match in matches(self.order, direction):
            self.rules.add(table, chain, [*match, *extra], family=family)
            self.rules.add(table, chain, [*match, *extra, *chance], target, family)

    def chance(self):
        share = self.order.get("share", 1.0)
        return [] if share >= 1 else ["-m", "statistic", "--mode", "random", "--probability", f"{share:.8f}"]

    async def start(self):
        for direction in ways(self.order):
            self.aim(direction, self.chance(), self.gone(direction))
        self.rules.commit()

    def stop(self):
        self.rules.remove()

    def stats(self):
        return {way: self.rules.counts(CHAINS[self.kind][way][1]) for way in ways(self.order)}


class Loss(Partition):
    """A share of the packets vanishes."""

    kind = "loss"


class Changed(Partition):
    """Packets that are not dropped but treated, each direction by netem or by a queue, as the order says."""

    handler = None  # of queued.py
    all_to_queue = False  # the handler chooses the share itself
    extra = ()

    def __init__(self, agent, order):
        super().__init__(agent, order)
        self.kind = order["kind"]
        self.netem, self.queues, self.handlers, self.means = None, {}, {}, {}
        self.last = None

    async def start(self):
        for direction in ways(self.order):
            self.means[direction] = self.order["means"][direction]
            if self.means[direction] == "netem" and ground()["foreign"] and self.agent.abilities["queue"]:
                self.means[direction] = "queue"  # another fault of ours has taken the root since
            if self.means[direction] == "netem":
                handle = self.order["handle"]
                self.netem = netem.Netem(handle, netem.disturbance(self.kind, self.order))
                self.rules.extra.append(self.netem)
                self.netem.start()
                target = ["CLASSIFY", "--set-class", f"{handle:x}:{netem.BAND}"]
                self.aim(direction, self.chance(), target)
                if self.kind == "delay":  # a chain of its own, so that these are not counted with the others
                    self.rules.add("mangle", "POSTROUTING", ["-m", "mark", "--mark", hex(echo.MARK)], target)
            else:
                handler = self.handler(self.order)
                queue = nfqueue.Queue(next(QUEUES), handler.packet)
                handler.queue = queue
                self.queues[direction], self.handlers[direction] = queue, handler
                queue.open()
                queue.listen()
                chance = [] if self.all_to_queue else self.chance()
                target = ["NFQUEUE", "--queue-num", str(queue.number), "--queue-bypass"]
                self.aim(direction, chance, target, self.extra)
        self.rules.commit()

    def stop(self):
        if self.rules.added:
            self.last = self.stats()
        self.rules.remove()
        for direction, handler in self.handlers.items():
            handler.stop()
            self.queues[direction].close()
        if self.netem:
            self.netem.stop(min(sum(self.order.get(each, 0.0) for each in ("latency", "jitter", "gap")) + 0.1, 5.0))

    def stats(self):
        if self.last is not None:
            return self.last
        figures = super().stats()
        for direction, means in self.means.items():
            figures[direction]["means"] = means
        for direction, handler in self.handlers.items():
            queue = self.queues[direction]
            figures[direction].update(handler.figures(), came=queue.came, lost=queue.lost)
        if self.netem:
            figures["out"]["netem"] = self.netem.figures()
        return figures


class Corruption(Changed):
    """A share of the packets arrives with one bit flipped."""

    handler = queued.Corrupt


class Duplication(Changed):
    """A share of the packets arrives twice."""

    handler = queued.Duplicate
    extra = NOT_COPIES


class Reordering(Changed):
    """A share of the packets is held back, so that later ones overtake it."""

    handler = queued.Reorder
    all_to_queue = True


class Delay(Changed):
    """A share of the packets arrives later."""

    handler = queued.Delay


KINDS = {
    "partition": Partition,
    "loss": Loss,
    "corruption": Corruption,
    "duplication": Duplication,
    "reordering": Reordering,
    "delay": Delay,
}
