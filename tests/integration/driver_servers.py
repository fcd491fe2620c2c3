"""Small real servers for driver tests, each a process of its own: lines over TCP, messages over WebSocket."""

import asyncio
import contextlib
import json
import sys

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One line in, one of many answers out; the line says which."""
    try:
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            word, _, rest = line.strip().partition(b" ")
            match word:
                case b"ECHO":
                    writer.write(rest + b"\r\n")
                case b"TWICE":
                    writer.write(rest + b"\r\n" + rest + b"\r\n")
                case b"SLOWLY":
                    for byte in rest + b"\r\n":
                        writer.write(bytes([byte]))
                        await writer.drain()
                        await asyncio.sleep(0.005)
                case b"ENDLESS":
                    while not writer.is_closing():
                        writer.write(b"x" * 65536)
                        await writer.drain()
                case b"HALF":
                    writer.write(b"half an ans")
                    break
                case b"ALL":
                    writer.write(b"a" * 1000)
                    break
                case b"SILENCE":
                    await asyncio.sleep(3600)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def chat(connection: ServerConnection) -> None:
    """Messages, answered as they ask for."""
    with contextlib.suppress(Exception):
        async for message in connection:
            asked = json.loads(message)
            match asked["do"]:
                case "echo":
                    await connection.send(json.dumps({"echo": asked["text"]}))
                case "many":
                    for number in range(asked["number"]):
                        await connection.send(json.dumps({"number": number}))
                case "close":
                    await connection.close(1011, "no more")
                case "big":
                    await connection.send("x" * asked["size"])
                case "silence":
                    pass


async def main(kind: str, port: int) -> None:
    if kind == "tcp":
        server = await asyncio.start_server(talk, "127.0.0.1", port)
        print("ready", flush=True)  # noqa: T201 - told to the parent
        await server.serve_forever()
    else:

        def refuse(connection, request):
            return connection.respond(403, "no\n") if request.path == "/forbidden" else None

        async with serve_websocket(chat, "127.0.0.1", port, process_request=refuse) as server:
            print("ready", flush=True)  # noqa: T201 - told to the parent
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
