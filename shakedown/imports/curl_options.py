"""The options of a curl command, as far as they say what is sent."""

from collections.abc import Callable
from dataclasses import dataclass, field

from shakedown.errors import UsageError

__all__ = ["CurlOptions", "read_options"]

_VALUES = {
    "-X": "request", "-H": "header", "-d": "data", "-F": "form", "-u": "user", "-b": "cookie", "-A": "user-agent",
    "-e": "referer", "-x": "proxy", "-m": "max-time", "-o": "output", "-w": "write-out",
}  # fmt: skip
_FLAGS = {
    "-G": "get", "-I": "head", "-L": "location", "-k": "insecure", "-s": "silent", "-S": "show-error", "-v": "verbose",
    "-i": "include", "-f": "fail", "-g": "globoff", "-N": "no-buffer", "-#": "progress-bar", "-O": "remote-name",
    "-4": "ipv4", "-6": "ipv6", "-0": "http1.0", "-q": "disable",
}  # fmt: skip
_LONG_VALUES = frozenset({
    *_VALUES.values(), "data-raw", "data-binary", "data-ascii", "data-urlencode", "json", "form-string", "url",
    "connect-timeout", "oauth2-bearer", "retry", "retry-delay", "retry-max-time",
})  # fmt: skip
_LONG_FLAGS = frozenset({
    *_FLAGS.values(), "compressed", "http1.1", "http2", "no-progress-meter", "fail-with-body", "basic", "location-trusted",
    "no-keepalive", "path-as-is", "tcp-nodelay",
})  # fmt: skip


@dataclass(slots=True)
class CurlOptions:
    """What a command says: each option that takes a value with its values in order, and the flags."""

    values: list[tuple[str, str]] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    urls: list[str] = field(default_factory=list)

    def all(self, *names: str) -> list[str]:
        """Every value of these options, in the order of the command."""
        return [value for name, value in self.values if name in names]

    def last(self, name: str) -> str | None:
        """The last value of an option; None when it is not given."""
        found = self.all(name)
        return found[-1] if found else None


def read_options(words: list[str]) -> CurlOptions:
    """Options and addresses of a command's words, without the `curl`.

    Raises:
        UsageError: options that are not supported, all of them named; an option without its value.
    """
    found, unknown = CurlOptions(), []
    queue = list(reversed(words))
    only_urls = False

    def value(option: str) -> str:
        if not queue:
            raise UsageError(f"the curl option {option} lacks its value")
        return queue.pop()

    while queue:
        word = queue.pop()
        if only_urls or not word.startswith("-") or word == "-":
            found.urls.append(word)
        elif word == "--":
            only_urls = True
        elif word.startswith("--"):
            name = word[2:]
            if name in _LONG_VALUES:
                found.values.append((name, value(word)))
            elif name in _LONG_FLAGS:
                found.flags.add(name)
            else:
                unknown.append(word.split("=", 1)[0])
        else:
            unknown += _short(word, found, value)
    found.urls += found.all("url")
    if unknown:
        listed = ", ".join(dict.fromkeys(part[:40].replace("\0", "$") for part in unknown))
        raise UsageError(
            f"unsupported curl option{'s' if len(set(unknown)) > 1 else ''}: {listed}",
            hint="leave out what does not change the request; what does, write into the plan by hand",
        )
    return found


def _short(word: str, found: CurlOptions, value: Callable[[str], str]) -> list[str]:
    """One word of short options, glued or not: -sSL, -XPOST, -d@file; gives those that are unknown."""
    for position in range(1, len(word)):
        option = f"-{word[position]}"
        if option in _FLAGS:
            found.flags.add(_FLAGS[option])
        elif option in _VALUES:
            glued = word[position + 1 :]
            found.values.append((_VALUES[option], glued or value(option)))
            return []
        else:
            return [option]
    return []
