"""What the plan's loads do with one store: every user a thread of its own, or a task of asyncio.

All users of a load share one store. Loads that run at the same time are processes of their own, and share the file.
"""

import asyncio
import os
import sys
import threading
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))

from dialogue import Invalid, Store
from shakedown.user import User

FOLDER = Path(os.environ.get("DIALOGUE_FOLDER") or "/tmp/shakedown-dialogue")
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz      ", "äöüßéèçñøåæœ ", "абвгдежзий ", "שלום עולם ", "日本語の文章です。", "👩‍👩‍👧‍👦🚚🇩🇪 ",
    "e\u0301a\u0308\u200b\u202e\ufeff", "\t\n\r\x00\x01\x7f'\";--%_\\",
)  # fmt: skip
_STORES: dict[str, Store] = {}
_LOCK = threading.Lock()


def store(name: str) -> Store:
    """The store of this process."""
    with _LOCK:
        if name not in _STORES:
            _STORES[name] = Store(FOLDER / f"{name}.db")
        return _STORES[name]


def name(user: User, *parts: object) -> str:
    """A name that nobody used before, whatever the seed."""
    return "-".join(map(str, (uuid.uuid4().hex[:16], *parts)))


def shared(user: User) -> str:
    """One of ten conversations that all loads of this run share."""
    return f"shared-{os.getppid()}-{user.random.randint(1, 10)}"


def text(user: User, shortest: int = 10, longest: int = 5000) -> str:
    """A text as people write them: most are short, a few are long, some are in no alphabet that one thinks of."""
    random = user.random
    length = min(max(int(random.lognormvariate(4.4, 1.2)), shortest), longest)
    letters = random.choice(ALPHABETS)
    return "".join(random.choices(letters, k=length)) if random.random() < 0.7 else "".join(
        chr(random.choice((random.randint(1, 0x7E), random.randint(0xA0, 0xD7FF), random.randint(0xE000, 0x10FFFF))))
        for _ in range(length)
    )  # fmt: skip


def is_prefix(short, long) -> bool:
    """Whether what was there is still there, in its order."""
    return long[: len(short)] == short


# ------------------------------------------------------------------------------------------------ D01: many at once
def say(user: User) -> None:
    """A message into one of ten conversations that everybody shares; then look whether it is there, in its place."""
    where, key, words = shared(user), name(user, user.vu), text(user, longest=500)
    with user.measure("add", key=key, value=words, ordered_by=f"{os.getpid()}-{user.vu}-{where}"):
        added = store("talk").add(where, "user", words, key)
    with user.measure("look"):
        found = store("talk").history(where)
        assert added in found, f"{key} is not in the history that was read after it was stored"
        assert [one.number for one in found] == list(range(1, len(found) + 1)), "the numbers have gaps, or stand twice"


def read(user: User) -> None:
    """Look twice: what was there is still there, in its order."""
    where = shared(user)
    with user.measure("read"):
        before, after = store("talk").history(where), store("talk").history(where)
        assert is_prefix(before, after), "a message went away, or changed its place"


def mix(user: User) -> None:
    """Write, read, count: what a thread does who does a bit of everything."""
    with user.measure("mix"):
        own = f"mixed-{os.getpid()}-{user.vu}"
        before = len(store("talk").history(own))
        store("talk").add(own, "user", text(user, longest=200))
        assert len(store("talk").history(own)) == before + 1, "something else than one message was added"
        assert store("talk").statistics()["messages"] > before


async def task(user: User) -> None:
    """The same as a task of asyncio: two calls at once, and the loop goes on meanwhile."""
    own = f"task-{os.getpid()}-{user.vu}"
    with user.measure("task"):
        added = await asyncio.gather(
            *(store("talk").add_async(own, role, text(user, longest=200)) for role in ("user", "assistant"))
        )
        found = await store("talk").history_async(own)
        assert all(one in found for one in added), "a message of this task is missing"
        assert [one.number for one in found] == list(range(1, len(found) + 1)), "the numbers have gaps, or stand twice"


# ------------------------------------------------------------------------------------------------------ D02: the cache
def cached(user: User) -> None:
    """Fifteen workers read and write among more conversations than fit; ten only write. Nobody reads what is old."""
    random, kept = user.random, store("cache")
    where = (
        f"c{os.getpid()}-{random.randint(1, 2000)}"
        if random.random() < 0.5
        else f"busy-{os.getpid()}-{random.randint(1, 3)}"
    )
    with user.measure("write"):
        added = kept.add(where, "user", "hello")
    if user.vu % 25 < 15:
        with user.measure("reread"):
            assert added in kept.history(where), "read from the cache what was there before the message was stored"
            assert len(kept.cache) <= kept.cache.limit, f"{len(kept.cache)} items in a cache of {kept.cache.limit}"


def fill(user: User) -> None:
    """Ask for more conversations than fit."""
    kept = store("cache")
    with user.measure("fill"):
        for number in range(700):
            kept.history(f"f{user.vu}-{number}")
        assert len(kept.cache) <= kept.cache.limit, f"{len(kept.cache)} items in a cache of {kept.cache.limit}"


# ------------------------------------------------------------------------------------------------------ D03: sessions
def session(user: User) -> None:
    """A long session: eighteen turns, looked at after ten and at the end. It is whole, and nobody else is in it."""
    kept, own, turns = store("session"), name(user, "session"), []
    for turn in range(1, 19):
        with user.measure("turn"):
            for role in ("user", "assistant"):
                words = text(user, longest=300)
                kept.add(own, role, words)
                turns.append((role, words))
        if turn in (10, 18):
            with user.measure("look_back"):
                found = [(one.role, one.text) for one in kept.history(own)]
                assert found == turns, (
                    f"after {turn} turns {len(found)} messages, {len(turns)} expected; or not the same ones"
                )


def chat(user: User) -> None:
    """Eight messages of one of eight users, each user's in a conversation of its own."""
    kept, own = store("session"), name(user, "chat")
    said = [text(user, longest=300) for _ in range(8)]
    with user.measure("chat"):
        for words in said:
            kept.add(own, "user", words)
        assert [one.text for one in kept.history(own)] == said, "another user's message, or not all of one's own"


# --------------------------------------------------------------------------------------------- D04: what the cache does
def look_up(user: User) -> None:
    """Fifty operations of one of twenty workers: look-ups of the same few conversations, and now and then a write."""
    kept, random = store("effect"), user.random
    for operation in range(50):
        key = f"hot-{min(int(random.expovariate(0.25)), 19)}"
        if operation % 40 == 39:
            kept.add(key, "user", "one more")
        with user.measure("look_up"):
            kept.history(key, last=10)
    with user.measure("effect"):
        rate, asked = kept.cache.hit_rate, kept.cache.hits + kept.cache.misses
        assert asked < 1000 or rate >= 0.95, f"hit rate {rate:.1%} after {asked} look-ups"


def thousand(user: User) -> None:
    """A thousand look-ups of twenty conversations, measured as one."""
    kept = store("thousand")
    for number in range(20):
        kept.history(f"t{number}") or kept.add(f"t{number}", "user", "hello")
    with user.measure("thousand"):
        for number in range(1000):
            kept.history(f"t{number % 20}")


# ----------------------------------------------------------------------------------------------------- D05, D09: speed
def furnish(user: User) -> None:
    """Twenty thousand messages, once: a store that is in use."""
    kept = store("speed")
    with _LOCK:
        for batch in range(kept.counted() // 2000, 10):
            kept.add_all(f"furnished-{batch}", (("user", "hello", None) for _ in range(2000)))


def speed(user: User) -> None:
    """25 messages added, 25 histories read, statistics asked for 100 times: each measured as one."""
    kept, own = store("speed"), name(user, "speed")
    with user.measure("adds"):
        for number in range(25):
            kept.add(own, "user", f"message {number}")
    with user.measure("reads"):
        for _ in range(25):
            kept.cache.forget(own)
            assert len(kept.history(own)) == 25
    with user.measure("statistics"):
        for _ in range(100):
            kept.statistics()
    kept.remove(own)


# --------------------------------------------------------------------------------------------------- D06: the database
def work(user: User) -> None:
    """Five read, five write, three write batches, ten write of users: all in the same tables, and the books are right."""
    kept, role = store("database"), user.vu % 23
    own = f"w{os.getpid()}-{user.vu}"
    if role < 5:
        with user.measure("look"):
            found = kept.history(f"w{os.getpid()}-{user.vu + 5}")
            assert [one.number for one in found] == list(range(1, len(found) + 1)), (
                "the numbers have gaps, or stand twice"
            )
    elif role < 10 or role >= 13:
        key, words = name(user, user.vu), text(user, longest=500)
        with user.measure("insert", key=key, value=words, ordered_by=own):
            kept.add(own, "user", words, key)
    else:
        before = len(kept.history(own))
        with user.measure("batch"):
            kept.add_all(own, [("user", f"part {number}", None) for number in range(10)])
        with user.measure("rollback"):
            try:
                kept.add_all(own, [("user", "good", None), ("assistant", "good too", None), ("user", "", None)])
            except Invalid:
                left = len(kept.history(own)) - before
                assert left == 10, f"of a batch that was refused {left - 10} messages are there"
            else:
                raise AssertionError("a batch with an empty text was taken")


def books(user: User) -> None:
    """Statistics and a count agree, when nobody writes between the two."""
    kept = store("database")
    with user.measure("books"), kept._database.transaction():
        said, counted = kept.statistics()["messages"], kept.counted()
        assert said == counted, f"statistics say {said} messages, {counted} are there"


# -------------------------------------------------------------------------------------------------- D07: errors mixed in
WRONG = (("nobody", "hello"), ("user", ""), ("user", None), ("user", "x" * 20_001), ("user", "half \ud83d a character"))


def mistakes(user: User, share: float) -> None:
    """Some calls are wrong on purpose: each is refused in its own words, and harms none of the others."""
    kept, own = store("errors"), name(user, "errors")
    expected = 0
    for number in range(10):
        if user.random.random() < share:
            role, words = user.random.choice(WRONG)
            with user.measure("refused"):
                try:
                    kept.add(own, role, words)
                except Invalid:
                    continue
                raise AssertionError("something that is wrong was taken")
        with user.measure("valid"):
            kept.add(own, "user", f"message {number}")
            expected += 1
    with user.measure("left"):
        assert len(kept.history(own)) == expected, "something that was refused is there, or something good is not"


def a_fifth_wrong(user: User) -> None:
    """20 % of the calls are wrong."""
    mistakes(user, 0.2)


def a_third_wrong(user: User) -> None:
    """33 % of the calls are wrong."""
    mistakes(user, 1 / 3)


# --------------------------------------------------------------------------------------------------------- D08: content
def write_anything(user: User) -> None:
    """A text of 10 to 5000 characters, of any alphabet or none, is stored and read back identical."""
    kept, key = store("content"), name(user, "content")
    words = text(user) if user.iteration % 20 else text(user, shortest=5000)
    with user.measure("store", key=key, value=words):
        kept.add(f"content-{os.getpid()}-{user.vu}", "user", words, key)
    with user.measure("read_back"):
        found = kept.message(key)
        assert found is not None and found.text == words, (
            f"{len(found.text) if found else 0} characters came back of {len(words)}"
        )
        assert words in [one.text for one in kept.history(f"content-{os.getpid()}-{user.vu}")[-5:]]
