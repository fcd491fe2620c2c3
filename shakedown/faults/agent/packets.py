"""Disturbances of single packets, by the kernel's own rules."""


class Partition:
    """No packet to or from some addresses."""

    def __init__(self, agent, order):
        self.order = order
        self.rules = agent.rules(order)

    async def start(self):
        for address in self.order["addresses"]:
            self.rules.add("filter", "INPUT", ["-s", address], ["DROP"])
            self.rules.add("filter", "OUTPUT", ["-d", address], ["DROP"])

    def stop(self):
        self.rules.remove()

    def stats(self):
        return {"packets": self.rules.packets()}
