"""Packet rules with a tag and a deadline, and only those."""

import subprocess
import time

TABLES = ("raw", "mangle", "nat", "filter")


def run(*command, input=None):
    """A command's exit code and output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=input)
    return done.returncode, done.stdout + done.stderr


def find_tool():
    """Which iptables works in this kernel, if one does."""
    for candidate in ("iptables-nft", "iptables-legacy"):
        code, _ = run(candidate, "-w", "-t", "nat", "-S")
        if code == 0:
            return candidate
    return None


def supports(tool, *match):
    """Whether the kernel takes a rule with this match."""
    probe = ["INPUT", "-p", "tcp", "--dport", "1", *match, "-j", "ACCEPT"]
    if tool is None or run(tool, "-w", "-t", "filter", "-A", *probe)[0] != 0:
        return False
    run(tool, "-w", "-t", "filter", "-D", *probe)
    return True


class Rules:
    """The rules of one fault. They go inert at its deadline by themselves, where the kernel knows `-m time`."""

    def __init__(self, tool, tag, deadline, timed):
        if tool is None:
            raise RuntimeError("neither iptables-nft nor iptables-legacy works in this kernel")
        self.tool, self.tag, self.timed = tool, tag, timed
        self.added = []
        self.marks = ["-m", "comment", "--comment", tag]
        if timed:
            stop = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(deadline) + 1))
            self.marks = ["-m", "time", "--datestop", stop, *self.marks]

    def add(self, table, chain, match, target):
        """Insert a rule at the top of a chain; `target` is its name and options."""
        full = [*match, *self.marks, "-j", *target]
        code, output = run(self.tool, "-w", "-t", table, "-I", chain, *full)
        if code:
            raise RuntimeError(f"{self.tool} -t {table} -I {chain} {' '.join(full)}: {output.strip()}")
        self.added.append((table, chain, full))

    def remove(self):
        """Delete every rule that was added; what is gone already is no error."""
        while self.added:
            table, chain, full = self.added.pop()
            run(self.tool, "-w", "-t", table, "-D", chain, *full)

    def present(self):
        """How many rules with the tag there are."""
        return sum(run(self.tool, "-w", "-t", table, "-S")[1].count(self.tag) for table in TABLES)

    def packets(self):
        """Packets that met a rule with the tag."""
        total = 0
        for table in TABLES:
            for line in run(self.tool, "-w", "-t", table, "-L", "-v", "-x", "-n")[1].splitlines():
                if self.tag in line:
                    total += int(line.split()[0])
        return total
