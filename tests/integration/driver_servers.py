"""Small real servers for driver tests, each a process of its own: lines over TCP, messages, HTTP/2, a proxy."""

import asyncio
import contextlib
import json
import ssl
import sys
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError
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


class Second(asyncio.Protocol):
    """HTTP/2 with prior knowledge: what a path asks for."""

    def connection_made(self, transport):
        self.transport, self.asked = transport, {}
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        transport.write(self.h2.data_to_send())

    def data_received(self, data):
        try:
            events = self.h2.receive_data(data)
        except ProtocolError:
            self.transport.close()
            return
        for event in events:
            if isinstance(event, RequestReceived):
                self.asked[event.stream_id] = (dict(event.headers), bytearray())
            elif isinstance(event, DataReceived):
                self.asked[event.stream_id][1].extend(event.data)
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.answer(event.stream_id, *self.asked.pop(event.stream_id))
        self.transport.write(self.h2.data_to_send())

    def answer(self, stream: int, headers: dict, body: bytearray):
        path = headers[":path"]
        if path == "/silence":
            return
        if path == "/away":
            self.transport.close()
            return
        status = {"/missing": "404", "/login": "302"}.get(path, "200")
        answer = [(":status", status), ("content-type", "application/json"), ("set-cookie", "who=me; Path=/")]
        if path == "/login":
            answer.append(("location", "/home"))
        self.h2.send_headers(stream, answer)
        told = {"path": path, "method": headers[":method"], "body": body.decode(), "cookie": headers.get("cookie", "")}
        self.h2.send_data(stream, json.dumps(told).encode(), end_stream=True)


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A forwarding proxy: one request a connection, with a field that says where it went through."""
    with contextlib.suppress(Exception):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, url, rest = head.split(" ", 2)
        parts = urlsplit(url)
        theirs, ours = await asyncio.open_connection(parts.hostname, parts.port)
        ours.write(f"{method} {parts.path or '/'} {rest.replace('keep-alive', 'close')}".encode())
        found = await theirs.readuntil(b"\r\n\r\n")
        writer.write(found[:-2] + b"Via: proxy\r\nConnection: close\r\n\r\n" + await theirs.read(2))
        await writer.drain()
        ours.close()
    writer.close()


def for_known_clients(certificate: str, authority: str) -> ssl.SSLContext:
    """TLS with HTTP/2, for clients that show a certificate of an authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    return context


async def main(kind: str, port: int, *tls: str) -> None:
    if kind != "websocket":
        if kind == "http2":
            server = await asyncio.get_running_loop().create_server(
                Second, "127.0.0.1", port, ssl=for_known_clients(*tls) if tls else None
            )
        else:
            server = await asyncio.start_server({"tcp": talk, "proxy": forward}[kind], "127.0.0.1", port)
        print("ready", flush=True)  # noqa: T201 - told to the parent
        await server.serve_forever()
    else:

        def refuse(connection, request):
            return connection.respond(403, "no\n") if request.path == "/forbidden" else None

        async with serve_websocket(chat, "127.0.0.1", port, process_request=refuse) as server:
            print("ready", flush=True)  # noqa: T201 - told to the parent
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
