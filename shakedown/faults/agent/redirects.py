"""Bringing connections to the proxy, by packet rules; and ending those that were open before and would go round it."""

import itertools
import os

import rules
from proxy import MARK, plain

AT_ONCE = 40  # connections ended by one call
REFUSE = ["REJECT", "--reject-with", "tcp-reset"]
OWN_GROUP = 61999  # of the agent's process, where the kernel has no `-m mark`


def exemption(tool):
    """How the proxy's own connections are told from the target's; None when they cannot be."""
    mark = ["-m", "mark", "!", "--mark", hex(MARK)]
    if rules.supports(tool, *mark):
        return mark
    owner = ["-m", "owner", "!", "--gid-owner", str(OWN_GROUP)]
    return (
        owner
        if os.getegid() == OWN_GROUP
        and rules.run(tool, "-w", "-t", "filter", "-C", "OUTPUT", *owner, "-j", "ACCEPT")[0] < 2
        else None
    )


def has_ipv6():
    """Whether the namespace has an address of IPv6 that others can reach."""
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as lines:
            return any(line.split()[3] == "00" and line.split()[5] != "lo" for line in lines)
    except OSError:
        return False


def tool_for_ipv6(tool):
    """The same tool for IPv6, if this kernel redirects there too."""
    six = (tool or "").replace("iptables", "ip6tables")
    return six if six and rules.run(six, "-w", "-t", "nat", "-S")[0] == 0 else None


class Redirects:
    """The rules of one fault of the proxy."""

    def __init__(self, agent, order):
        self.agent, self.order = agent, order
        self.four = agent.rules(order)
        self.six = None
        self.uncovered = ""
        if has_ipv6():
            six = tool_for_ipv6(agent.tool)
            if six:
                self.six = rules.Rules(six, order["tag"], order["deadline"], agent.timed)
            else:
                self.uncovered = "this kernel has no ip6tables nat: connections over IPv6 escape"
        self.closed = 0
        self.timed = self.four.timed

    async def start(self, proxy):
        self.proxy = proxy
        await proxy.start()

    def redirect(self):
        chosen = [(one["direction"], match) for one in self.order["connections"] for match in self.matches(one)]
        self.add(
            (family, "nat", "PREROUTING" if direction == "in" else "OUTPUT", [*match, *away],
             ["REDIRECT", "--to-ports", str(self.proxy.ports[direction])])
            for direction, (family, match, away) in chosen
        )  # fmt: skip
        existing = self.order.get("existing", "reset")
        if existing == "vanish":
            self.drop(chosen)
        if existing != "reset":
            return
        self.end_open_ones()
        # Whatever was not found above is reset at its next packet. RST itself passes, or the other end would never know.
        living = ["!", "--tcp-flags", "RST", "RST"]
        self.add(
            (family, "filter", "INPUT" if direction == "in" else "OUTPUT", [*match, *living, *away], REFUSE)
            for direction, (family, match, away) in chosen
        )

    def add(self, wanted):
        """Rules, each with its family before it: those of one family together."""
        by_family = {}
        for family, *rule in wanted:
            by_family.setdefault(family, []).append(rule)
        for family, some in by_family.items():
            family.add(*some)

    def drop(self, chosen):
        """What goes round the proxy vanishes: packets of connections that were open before, and of no others.

        Here a redirected connection has the proxy's port, and not the server's: none of these rules matches it.
        """
        wanted = []
        for direction, (family, match, away) in chosen:
            wanted.append((family, "filter", "INPUT" if direction == "in" else "OUTPUT", [*match, *away], ["DROP"]))
            if direction == "in":  # the answers; of what the target calls, those to the proxy itself look the same
                turned = [{"-i": "-o", "-s": "-d", "--dport": "--sport"}.get(word, word) for word in match]
                wanted.append((family, "filter", "OUTPUT", turned, ["DROP"]))
        self.add(wanted)

    def dropped(self):
        """Packets that vanished so."""
        return sum(family.packets("DROP") for family in self.families())

    def refuse(self, share):
        """Answer new connections by RST, this share of them; a rule before counts how many there were."""
        lot = ["-m", "statistic", "--mode", "random", "--probability", f"{share:.6f}"] if share < 1 else []
        wanted = []
        for one in self.order["connections"]:
            chain = "INPUT" if one["direction"] == "in" else "OUTPUT"
            for family, match, away in self.matches(one):
                wanted.append((family, "filter", chain, [*match, "--syn", *lot, *away], REFUSE))
                wanted.append(
                    (family, "filter", chain, [*match, "--syn", *away], [])
                )  # inserted later, so it is before
        self.add(wanted)

    def families(self):
        return [family for family in (self.four, self.six) if family is not None]

    def matches(self, one):
        """For each port and address: which family's rules, what they match, and how the proxy itself is left out."""
        inward = one["direction"] == "in"
        away = [] if inward else self.agent.exemption()
        if away is None:
            raise RuntimeError(
                "this kernel has neither `-m mark` nor `-m owner`: outgoing connections cannot be redirected"
            )
        ports = [["--dport", str(port)] for port in one.get("ports") or ()] or [[]]
        for family, version in ((self.four, 4), (self.six, 6)):
            if family is None:
                continue
            given = one.get("addresses") or ()
            addresses = [["-s" if inward else "-d", each] for each in given if (":" in each) == (version == 6)]
            if given and not addresses:
                continue
            for port, address in itertools.product(ports, addresses or [[]]):
                yield family, ["!", "-i" if inward else "-o", "lo", "-p", "tcp", *port, *address], away

    def end_open_ones(self):
        """End, at both ends, the connections that were there before the rules."""
        code, output = rules.run("ss", "-Htn", "state", "established")
        if code:
            return
        own = {endpoint(connection.client, "peername") for connection in self.proxy.open}
        own |= {endpoint(connection.server, "sockname") for connection in self.proxy.open}
        sockets = [line.split()[2:4] for line in output.splitlines() if len(line.split()) >= 4]
        here = {address_of(local) for local, _ in sockets}
        victims = []
        for local, remote in sockets:
            if address_of(remote) in here or address_of(remote).startswith("127.") or address_of(remote) == "::1":
                continue  # never leaves the namespace, so no rule of ours sees it
            if (address_of(local), port_of(local)) in own:
                continue
            for one in self.order["connections"]:
                inward = one["direction"] == "in"
                ports, addresses = one.get("ports"), set(map(plain, one.get("addresses") or ()))
                port = port_of(local if inward else remote)
                if (not ports or port in ports) and (not addresses or address_of(remote) in addresses):
                    victims.append((local, remote))
                    break
        for begin in range(0, len(victims), AT_ONCE):
            some = [f"( src {local} and dst {remote} )" for local, remote in victims[begin : begin + AT_ONCE]]
            code, output = rules.run("ss", "-HtnK", " or ".join(some))
            if code == 0:
                self.closed += len(output.split("\n")) - 1

    def remove(self):
        for family in self.families():
            family.remove()

    @property
    def placed(self):
        return sum(family.placed for family in self.families())

    def present(self):
        return sum(family.present() for family in self.families())

    def refused(self):
        """New connections that came, and that were refused."""
        met = [found for family in self.families() for found in rules.tagged(family.tool, family.tag)]
        return tuple(sum(packets for packets, _, target in met if target == kind) for kind in ("", "REJECT"))


class NoRules:
    """In the foreground every connection comes to the proxy anyway."""

    timed, closed, uncovered, left = False, 0, "", 0

    async def start(self, proxy):
        self.left = 1

    def redirect(self):
        pass

    def remove(self):
        self.left = 0

    def present(self):
        """What is left of the fault: as if it were one rule."""
        return self.left

    @property
    def placed(self):
        return self.left

    def dropped(self):
        return 0


def endpoint(side, name):
    if side.transport is None:
        return None
    found = side.transport.get_extra_info(name)
    return (plain(found[0]), found[1]) if found else None


def address_of(text):
    """Of `1.2.3.4:80`, `[::1]:80`, `[::ffff:1.2.3.4]:80`."""
    return plain(text.rpartition(":")[0].strip("[]"))


def port_of(text):
    return int(text.rpartition(":")[2])
