"""Small real servers for tests: one that behaves, one for each way not to."""

import asyncio
import sys
import time

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOSTILE = {
    "garbage": b"nonsense\r\n\r\n",
    "half": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbad\r\n",
    "headers": b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"a" * 200_000,
    "nothing": b"",
    "status": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
}


async def serve(port: int, mode: str) -> None:
    limit = int(mode.removeprefix("limit")) if mode.startswith("limit") else 0  # requests a second; more get a 503
    tokens, filled = 0.0, 0.0

    def answer() -> bytes:
        nonlocal tokens, filled
        if not limit:
            return OK if mode == "good" else HOSTILE[mode]
        now = time.monotonic()
        tokens, filled = min(tokens + (now - filled) * limit, limit / 5), now
        if tokens < 1:
            return HOSTILE["status"]
        tokens -= 1
        return OK

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                if mode == "silent":
                    await asyncio.sleep(3600)
                writer.write(answer())
                await writer.drain()
                if mode not in ("good", "status") and not limit:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port)
    print("ready", flush=True)  # noqa: T201 - told to the parent
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
