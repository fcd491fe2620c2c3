"""How long a packet takes to another address and back: ICMP echo, marked, so that a rule can choose these packets."""

import asyncio
import os
import socket
import struct
import time

MARK = 0x5D0EC40


def checksum(data):
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


async def measure(order):
    """Round trips in seconds to `host`, `count` of them at most, all `within` seconds; each is waited for with `patience`."""
    loop = asyncio.get_running_loop()
    identity = int.from_bytes(os.urandom(2), "big")
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.setblocking(False)
        if order.get("marked"):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        sent, until = 0, time.monotonic() + order["within"]
        while sent < order["count"] and time.monotonic() < until:
            body = struct.pack("!BBHHH", 8, 0, 0, identity, sent) + b"shakedown!"
            body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
            begun = time.monotonic()
            try:
                raw.sendto(body, (order["host"], 0))
                sent += 1
                while True:  # other echoes come by here as well
                    left = max(min(until, begun + order["patience"]) - time.monotonic(), 0.001)
                    data = await asyncio.wait_for(loop.sock_recv(raw, 2048), left)
                    kind, _, _, whose, serial = struct.unpack_from("!BBHHH", data, (data[0] & 15) * 4)
                    if (kind, whose, serial) == (0, identity, sent - 1):
                        found.append(time.monotonic() - begun)
                        break
            except (OSError, asyncio.TimeoutError):
                continue
    return {"sent": sent, "seconds": found}
