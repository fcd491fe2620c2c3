"""Packet rules with a tag and a deadline, and only those.

A process costs milliseconds, and more on a busy machine; so all rules of a fault come and go by one call of the tool.
"""

import subprocess
import time


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


def restore(tool, tables):
    """Commands (`-I …`, `-D …`) by table, in one call; each table takes all of its own or none."""
    text = "".join("\n".join([f"*{table}", *lines, "COMMIT", ""]) for table, lines in tables.items())
    return run(f"{tool}-restore", "-w", "--noflush", input=text)


def delete(tool, added):
    """Delete rules, (table, text of the rule) each; what is gone already is no error."""
    tables = {}
    for table, line in added:
        tables.setdefault(table, []).append(f"-D {line}")
    if tables and restore(tool, tables)[0]:  # somebody has removed some: those that are left, one by one
        for table, line in added:
            run(tool, "-w", "-t", table, "-D", *line.split())


def tagged(tool, tag):
    """Every rule with a tag: its packets, chain and target (empty where it only counts)."""
    for line in run(f"{tool}-save", "-c")[1].splitlines():
        words = line.split()
        if line.startswith("[") and tag in line.replace('"', " ").split():
            target = words[words.index("-j") + 1] if "-j" in words else ""
            yield int(words[0][1:].split(":")[0]), words[2], target


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

    def add(self, *wanted):
        """Insert rules at the top of their chains, each (table, chain, match, target and its options)."""
        tables, added = {}, []
        for table, chain, match, target in wanted:
            line = " ".join([chain, *match, *self.marks, *(["-j", *target] if target else [])])
            tables.setdefault(table, []).append(f"-I {line}")
            added.append((table, line))
        if not added:
            return
        self.added += added  # before the call: of several tables some may have taken theirs
        code, output = restore(self.tool, tables)
        if code:
            raise RuntimeError(f"{self.tool}-restore: {output.strip()}; {added[0][1]}")

    def remove(self):
        """Delete every rule that was added; what is gone already is no error."""
        added, self.added = self.added, []
        delete(self.tool, added)

    @property
    def placed(self):
        """How many rules there should be."""
        return len(self.added)

    def present(self):
        """How many rules with the tag there are."""
        return len(list(tagged(self.tool, self.tag)))

    def packets(self, target):
        """Packets that met a rule with the tag and this target."""
        return sum(packets for packets, _, there in tagged(self.tool, self.tag) if there == target)
