"""The agent as a program of its own: no namespace, no rules; it listens, hands on, and takes the same orders.

    agent.py --listen 127.0.0.1:8081 --to 127.0.0.1:8080 [--listen … --to …] [--alone]

With `--alone` it goes on when its standard input ends; otherwise that ends it. It ends at SIGTERM and SIGINT.
"""


class Ways:
    """What it listens at, and what for."""

    def __init__(self, arguments):
        self.alone = "--alone" in arguments
        words = [one for one in arguments if one != "--alone"]
        pairs = list(zip(words[::2], words[1::2]))
        listens = [address(text) for option, text in pairs if option == "--listen"]
        targets = [address(text) for option, text in pairs if option == "--to"]
        if len(words) % 2 or not listens or len(listens) != len(targets) or len(pairs) != 2 * len(listens):
            raise SystemExit("usage: agent.py --listen HOST:PORT --to HOST:PORT [--listen … --to …] [--alone]")
        self.pairs = list(zip(listens, targets))

    async def open(self, through):
        """Listen."""
        through.mark = 0
        for (host, port), target in self.pairs:
            try:
                await through.listen(host, port, "in", to=lambda target=target: target)
            except OSError as error:
                raise SystemExit(f"cannot listen at {host}:{port}: {error.strerror}")


def address(text):
    """Of `127.0.0.1:80` or `[::1]:80`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise SystemExit(f"not an address: {text}; write 127.0.0.1:8081")
    return host.strip("[]"), int(port)
