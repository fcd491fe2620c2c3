"""Debian's Chromium, driven over its own debugging protocol."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check",
    "--remote-debugging-port=0", "--remote-allow-origins=*", "--force-color-profile=srgb",
)  # fmt: skip


class Page:
    """One page: go somewhere, wait for words, click on them, type, look."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.hosts: set[str] = set()  # whom the page asked for something
        for domain in ("Page", "Runtime", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict:
        """A command of the protocol, and its answer."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("method") == "Network.requestWillBeSent":
                self._note(message["params"]["request"]["url"])
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return message["result"]

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https", "ws", "wss"}:
            self.hosts.add(parts.hostname or "")

    def size(self, width: int, height: int) -> None:
        """The window's size in pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def go(self, url: str) -> None:
        """Open an address."""
        self.ask("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """An expression's value."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    @property
    def text(self) -> str:
        """What can be read on it."""
        return self.run("document.body ? document.body.innerText : ''") or ""

    def wait(self, *words: str, within: float = 60) -> str:
        """The page's text, once it has all of these words."""
        until = time.monotonic() + within
        while not all(word in (text := self.text) for word in words):
            assert time.monotonic() < until, f"{words} are not on {self.run('location.href')}:\n{text[:3000]}"
            time.sleep(0.2)
        return text

    def click(self, selector: str, words: str = "", within: float = 30) -> None:
        """Click, as a mouse does, on the first visible element of a selector that has these words and no others."""
        find = f"""(() => {{
            const fits = one => one.getClientRects().length && ({json.dumps(words)} === '' ||
                one.innerText.trim() === {json.dumps(words)} || one.getAttribute('aria-label') === {json.dumps(words)});
            const one = [...document.querySelectorAll({json.dumps(selector)})].find(fits);
            if (!one) return null;
            one.scrollIntoView({{block: 'center'}});
            const box = one.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()"""
        until = time.monotonic() + within
        while (place := self.run(find)) is None:
            assert time.monotonic() < until, (
                f"no {selector} {words!r} on {self.run('location.href')}:\n{self.text[:3000]}"
            )
            time.sleep(0.2)
        x, y = place
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str, *, instead: bool = False) -> None:
        """Type into what has the focus; `instead` of what is there."""
        if instead:
            self.run("document.activeElement.select && document.activeElement.select()")
        self.ask("Input.insertText", text=text)

    def picture(self, path: Path) -> Path:
        """What it looks like, as PNG."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))
        return path


@contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """A browser with one page; nothing but this machine can be reached from it."""
    profile = folder / "chromium"
    command = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    rules = "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"
    with subprocess.Popen(
        [*command, f"--host-resolver-rules={rules}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            page = next(one for one in _pages(profile / "DevToolsActivePort") if one["type"] == "page")
            # Nobody reads while a test waits for something else: what the page says meanwhile has to find room, or nothing
            # more is read, the answer to a ping neither, and the connection is taken for dead.
            with connect(
                page["webSocketDebuggerUrl"], max_size=None, max_queue=None, ping_interval=None, proxy=None
            ) as socket:
                yield Page(socket)
        finally:
            process.terminate()


def _pages(file: Path) -> list[dict]:
    until = time.monotonic() + 60
    while True:
        try:
            port = int(file.read_text().splitlines()[0])
            return httpx.get(f"http://127.0.0.1:{port}/json", timeout=10, trust_env=False).json()
        except (OSError, ValueError, IndexError, httpx.HTTPError):
            assert time.monotonic() < until, "the browser does not come up"
            time.sleep(0.1)
