"""Each DNS fault on a real container, whose own resolver looks names up meanwhile."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shakedown.faults import build_fault
from shakedown.plan.faults.dns import DnsNxdomain, DnsServfail, DnsSlow, DnsTimeout, DnsWrongAddress
from tests.integration.faults.harness import context_of, inject

pytestmark = pytest.mark.integration

IDLE = {"entrypoint": ["sleep", "600"], "ports": {"http": 8000}}
# Looks names up as any program does, by the C library; prints what it got and how long that took.
ASK = """
import json, socket, sys, time
found = {}
for name in sys.argv[1:]:
    begun = time.monotonic()
    try: got = sorted({i[4][0] for i in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})
    except socket.gaierror as error: got = error.errno
    found[name] = [got, time.monotonic() - begun]
print(json.dumps(found))
"""
# One socket, in use before the fault, during it and after it; asks for A of `other` each 100 ms and prints codes.
KEEPS_ASKING = """
import socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("127.0.0.11", 53)); s.settimeout(1)
for number in range(60):
    s.send(struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + b"\\5other\\0" + struct.pack(">HH", 1, 1))
    try: print(s.recv(512)[3] & 15, end=" ", flush=True)
    except OSError as error: print(type(error).__name__, end=" ", flush=True)
    time.sleep(0.1)
"""
OVER_TCP = """
import socket, struct
s = socket.create_connection(("127.0.0.11", 53), 5)
for name in (b"other", b"web"):
    q = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + bytes([len(name)]) + name + b"\\0" + struct.pack(">HH", 1, 1)
    s.sendall(struct.pack(">H", len(q)) + q)
    n = struct.unpack(">H", s.recv(2, socket.MSG_WAITALL))[0]
    print(s.recv(n, socket.MSG_WAITALL)[3] & 15, end=" ")
"""
NO_NAME, TRY_AGAIN = -2, -3  # EAI_NONAME, EAI_AGAIN of the C library


@pytest.fixture
def idle(make_system, python_image):
    """Two containers that do nothing by themselves."""
    return make_system({name: {**IDLE, "image": python_image} for name in ("web", "other", "third")})


def python(system, code, *arguments, service="web") -> str:
    """Run a program in a container; its output."""
    status, output = system.runner(service).run_inside(["python3", "-c", code, *arguments])
    assert status == 0, output
    return output


def ask(system, *names, service="web") -> dict:
    """What a program in the container gets for names, and how long it takes."""
    return json.loads(python(system, ASK, *names, service=service))


def rules(system, engine, service="web") -> str:
    """Every packet rule of a container's namespace, without counters."""
    script = "for t in legacy nft; do for b in raw mangle nat filter; do iptables-$t-save -t $b; done; done"
    output = engine.containers.run(
        system.plan.services[service].image, ["-c", script], entrypoint="sh", remove=True, cap_add=["NET_ADMIN"],
        network_mode=f"container:{system.handle(service).container}",
    ).decode()  # fmt: skip
    return "\n".join(line for line in output.splitlines() if line.startswith("-A"))


@contextmanager
def unchanged(system, engine) -> Iterator[None]:
    """Look-ups and packet rules afterwards are what they were."""
    names = ("other", "web", "third")
    before = {name: got for name, (got, _) in ask(system, *names).items()}, rules(system, engine)
    yield
    assert ({name: got for name, (got, _) in ask(system, *names).items()}, rules(system, engine)) == before


def whole(record) -> None:
    """It took effect, was taken back, and nothing went wrong."""
    assert record.refused is None, record.refused
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert record.gone.held, record.gone


@pytest.mark.parametrize(
    ("kind", "error", "said"), [(DnsNxdomain, NO_NAME, "NXDOMAIN"), (DnsServfail, TRY_AGAIN, "SERVFAIL")]
)
def test_a_chosen_name_is_refused(idle, engine, kind, error, said):
    """The program in the target gets this error for the chosen name, the real address for another; both are counted."""
    with unchanged(idle, engine):
        record, [found] = inject(idle, kind(target="web", names=["other"]), during=lambda: ask(idle, "other", "third"))
    whole(record)
    assert found["other"][0] == error
    assert found["third"][0] == ask(idle, "third")["third"][0] != error
    assert "other A" in record.effect.evidence
    assert said in record.effect.evidence
    assert "third A" in record.effect.evidence
    assert record.effect.measured >= 1


def test_others_ask_in_peace(idle):
    """The fault is the target's alone: another service finds the name."""
    record, [found] = inject(
        idle, DnsNxdomain(target="web", names=["other"]),
        during=lambda: (ask(idle, "other"), ask(idle, "other", service="third")),
    )  # fmt: skip
    whole(record)
    assert found[0]["other"][0] == NO_NAME
    assert isinstance(found[1]["other"][0], list)


def test_every_name(idle):
    """Without names, every query is meant."""
    record, [found] = inject(idle, DnsNxdomain(target="web"), during=lambda: ask(idle, "other", "third", "x.test"))
    whole(record)
    assert [got for got, _ in found.values()] == [NO_NAME] * 3


def test_names_below_another(idle):
    """`*.vendor.test` is each name below vendor.test."""
    record, _ = inject(
        idle, DnsNxdomain(target="web", names=["*.vendor.test"]), during=lambda: ask(idle, "a.b.vendor.test", "API.Vendor.Test")
    )  # fmt: skip
    whole(record)
    assert record.effect.evidence.count("vendor.test A ") == 2


def test_silence(idle, engine):
    """The program waits for as long as its resolver has patience: until well after the fault's end, or for an answer then."""
    with unchanged(idle, engine):
        record, [found] = inject(
            idle, DnsTimeout(target="web", names=["other"]), hold=1.5, during=lambda: ask(idle, "third", "other")
        )
    whole(record)
    got, seconds = found["other"]
    assert seconds > 1.5
    assert isinstance(got, list), "asked again after the fault, it is answered"
    assert found["third"][1] < seconds / 2


def test_slow(idle, engine):
    """Real answers come later by what was asked, measured by the agent and by the program itself."""
    usual = ask(idle, "other")["other"]
    with unchanged(idle, engine):
        record, [found] = inject(
            idle,
            DnsSlow(target="web", names=["other"], latency=0.4),
            hold=3,
            during=lambda: ask(idle, "other", "third"),
        )
    whole(record)
    assert found["other"][0] == usual[0]
    assert found["other"][1] >= 0.4
    assert found["third"][1] < found["other"][1] / 2
    assert 0.4 <= record.effect.measured < 0.8


def test_what_waits_is_answered_at_the_end(idle):
    """A latency longer than the fault: nobody was answered late, so it is not held; and nobody is left without an answer."""
    record, [found] = inject(
        idle, DnsSlow(target="web", names=["other"], latency=4), hold=1.5, during=lambda: ask(idle, "other")
    )
    assert not record.effect.held
    assert "queries that wait for their answers: " in record.effect.evidence
    assert isinstance(found["other"][0], list)
    assert 1 < found["other"][1] < 3.5
    assert record.gone.held


def test_wrong_address(idle, engine):
    """The program gets the other address, and only that."""
    with unchanged(idle, engine):
        record, [found] = inject(
            idle, DnsWrongAddress(target="web", names=["other"], address="192.0.2.7"), during=lambda: ask(idle, "other", "third")
        )  # fmt: skip
    whole(record)
    assert found["other"][0] == ["192.0.2.7"]
    assert found["third"][0] != ["192.0.2.7"]


def test_nobody_asked(idle):
    """No query for the name: not held, and the evidence says what was asked instead."""
    record, _ = inject(idle, DnsNxdomain(target="web", names=["api.vendor.test"]), during=lambda: ask(idle, "other"))
    assert record.error is None
    assert not record.effect.held
    assert "nobody in the target asked for api.vendor.test" in record.effect.evidence
    assert "other A 1" in record.effect.evidence
    assert record.gone.held


def test_a_socket_that_was_in_use_before(idle):
    """The kernel remembers flows: one that was there before the fault meets it too, and is free of it afterwards."""
    codes: list[str] = []
    asking = threading.Thread(target=lambda: codes.extend(python(idle, KEEPS_ASKING).split()))
    asking.start()
    time.sleep(1)
    record, _ = inject(idle, DnsServfail(target="web", names=["other"]), hold=1.5)
    asking.join()
    whole(record)
    met = [index for index, code in enumerate(codes) if code == "2"]
    assert len(met) >= 5, codes
    assert set(codes) == {"0", "2"}
    assert codes[0] == codes[-1] == "0"
    assert met == list(range(met[0], met[-1] + 1))


def test_over_tcp(idle):
    """Queries over TCP meet it too; several on one connection each get their own answer."""
    record, [codes] = inject(
        idle, DnsNxdomain(target="web", names=["other"]), during=lambda: python(idle, OVER_TCP).split()
    )
    whole(record)
    assert codes == ["3", "0"]


def test_a_share(idle):
    """Of many queries about the asked share meets it, and the others get real answers."""
    code = KEEPS_ASKING.replace("range(60)", "range(200)").replace("0.1", "0")
    record, [output] = inject(
        idle, DnsServfail(target="web", names=["other"], share=0.3), hold=3, during=lambda: python(idle, code)
    )
    whole(record)
    codes = output.split()
    assert 35 <= codes.count("2") <= 85
    assert codes.count("0") + codes.count("2") == 200


def test_two_at_once(idle, engine):
    """Faults of different names go together; when one ends, the other stays."""
    names, found = ("other", "third"), []
    with unchanged(idle, engine):
        context = context_of(idle)
        plans = DnsNxdomain(target="web", names=["other"]), DnsServfail(target="web", names=["third"])
        first, second = (build_fault(plan, context) for plan in plans)
        try:
            for fault in (first, second):
                fault.check()
                fault.inject(time.time() + 30)
            found.append(ask(idle, *names))
            assert first.effect().held
            assert second.effect().held
            second.revert()
            assert second.gone().held
            found.append(ask(idle, *names))
            assert not first.gone().held
        finally:
            first.revert()
            second.revert()
        assert first.gone().held
        context.agents.close()
    assert (found[0]["other"][0], found[0]["third"][0]) == (NO_NAME, TRY_AGAIN)
    assert found[1]["other"][0] == NO_NAME
    assert isinstance(found[1]["third"][0], list)


def test_the_agent_is_killed(idle, engine):
    """Its rules are removed from outside, and look-ups work again."""

    def during():
        found = ask(idle, "other")
        for agent in engine.containers.list(filters={"label": "shakedown.agent=web"}):
            agent.kill()
        return found

    with unchanged(idle, engine):
        record, [found] = inject(idle, DnsNxdomain(target="web", names=["other"]), hold=2, during=during)
    assert found["other"][0] == NO_NAME
    assert record.gone.held, record.gone


def test_the_kernel_keeps_the_deadline(idle, engine):
    """The agent killed, and nobody of ours to revert: at the deadline look-ups work again."""
    context = context_of(idle)
    fault = build_fault(DnsNxdomain(target="web", names=["other"]), context)
    fault.check()
    if not fault.agent.abilities["time"]:
        pytest.skip("this kernel has no `-m time`")
    fault.inject(time.time() + 2)
    assert "kernel deadline" in fault.layers
    assert ask(idle, "other")["other"][0] == NO_NAME
    for agent in engine.containers.list(filters={"label": "shakedown.agent=web"}):
        agent.kill()
    until = time.monotonic() + 10
    while not isinstance(ask(idle, "other")["other"][0], list) and time.monotonic() < until:
        time.sleep(0.2)
    assert isinstance(ask(idle, "other")["other"][0], list)
    fault.revert()
    context.agents.close()


def test_the_target_is_restarted(idle):
    """With its namespace the rules are gone: a clear state, no error of ours that hides it, and look-ups work."""
    record, _ = inject(
        idle, DnsNxdomain(target="web", names=["other"]), hold=3,
        during=lambda: idle.runner("web").container().restart(timeout=0),
    )  # fmt: skip
    assert record.effect is None or not record.effect.held
    assert record.gone.held, record.gone
    assert isinstance(ask(idle, "other")["other"][0], list)
