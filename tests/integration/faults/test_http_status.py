"""http-status on a real container, and what every fault of HTTP answers has in common."""

import socket
import time

import pytest

from shakedown.faults import build_fault
from shakedown.faults.http.status import StatusFault
from shakedown.plan.faults.http import HttpBody, HttpStatus
from tests.integration.faults.harness import context_of, inject
from tests.integration.faults.web import BODY, client, outcome, service, sound, warm

pytestmark = pytest.mark.integration


@pytest.fixture
def system(make_system, python_image):
    return make_system({"web": service(python_image)})


def test_the_chosen_get_the_status_and_nobody_else(system):
    """POST /pay is 429 with Retry-After and never reaches the service; GET on the same connection passes; afterwards all pass."""
    plan = HttpStatus(
        target="web", status=429, answer_headers={"Retry-After": "7"}, body="later", methods=["POST"], path="/p*"
    )

    def during():
        with client(system) as session:
            warm(session)
            answers = [session.post("/pay", content=b"abc") for _ in range(5)]
            between = [session.get("/stats").content, session.get("/chunks").content, session.head("/stats").content]
            return answers, between, session.get("/paid").text

    record, found = inject(system, plan, during=during)
    assert record.error is None, record.error
    answers, between, paid = found[0]
    assert [(answer.status_code, answer.headers["retry-after"], answer.text) for answer in answers] == [
        (429, "7", "later")
    ] * 5
    assert between == [BODY, BODY, b""]
    assert paid == "0"
    assert record.effect.held, record.effect
    assert "POST /p*" in record.parameters
    assert "matched POST /p*" in record.effect.evidence
    assert record.gone.held, record.gone
    assert sound(system)


def test_a_kept_connection_is_met_too(system):
    """A keep-alive connection from before the fault cannot go round it."""
    with client(system) as session:
        assert session.get("/stats").status_code == 200
        plan = HttpStatus(target="web", status=503, path="/stats")
        record, found = inject(system, plan, during=lambda: [outcome(session, "GET", "/stats") for _ in range(4)])
        assert set(found[0][1:]) == {503}  # the first one may meet the reset
        assert record.effect.held, record.effect
        assert outcome(session, "GET", "/stats") == 200 or outcome(session, "GET", "/stats") == 200


def test_a_connection_that_outlives_the_fault_is_undisturbed(system):
    """A keep-alive connection made while the fault lasted is the same one afterwards, and gets what the service says."""
    context = context_of(system)
    fault = StatusFault(HttpStatus(target="web", status=500, body="no"), context)
    fault.check()
    fault.inject(time.time() + 30)
    address = system.address("web.http")
    with socket.create_connection((address.host, address.port), timeout=5) as made:

        def ask(end: bytes) -> bytes:
            made.sendall(b"GET /stats HTTP/1.1\r\nHost: a\r\n\r\n")
            got = made.recv(4096)
            while not got.endswith(end) and (more := made.recv(4096)):
                got += more
            return got

        assert ask(b"no").startswith(b"HTTP/1.1 500 ")
        assert fault.effect().held
        fault.revert()
        assert fault.gone().held
        for _ in range(3):
            assert ask(BODY).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.1)
        again = StatusFault(HttpStatus(target="web", status=503, body="no"), context)
        again.check()
        again.inject(time.time() + 30)
        again.revert()
    assert sound(system)
    context.agents.close()


def test_a_share_of_the_requests(system):
    """30 %: within the binomial interval of 400 requests, on few connections; told as asked and measured."""

    def during():
        with client(system) as session:
            warm(session)
            return sum(outcome(session, "GET", "/stats?n=1") == 503 for _ in range(400))

    record, found = inject(system, HttpStatus(target="web", status=503, share=0.3, path="/stats"), 4, during)
    assert 84 <= found[0] <= 157  # 120 ± 4 standard deviations
    assert record.effect.held, record.effect
    assert record.effect.asked == pytest.approx(0.3)
    assert record.effect.unit == "%"


@pytest.mark.parametrize(
    ("choice", "expected"), [({"first": 3}, [503] * 3 + [200] * 6), ({"every": 3}, [200, 200, 503] * 3)]
)
def test_first_and_every(system, choice, expected):
    """The first three, or every third, exactly; requests that do not match do not count."""

    def during():
        with client(system) as session:
            warm(session)
            found = []
            for _ in range(9):
                found.append(outcome(session, "POST", "/pay", content=b"x"))
                session.get("/chunks")
            return found

    plan = HttpStatus(target="web", status=503, methods=["POST"], **choice)
    record, found = inject(system, plan, during=during)
    assert found[0] == expected
    assert record.effect.held, record.effect


def test_after_the_service_had_the_request(system):
    """With forward the service has done the work, and the client does not know."""

    def during():
        with client(system) as session:
            warm(session)
            return outcome(session, "POST", "/pay", content=b"x"), session.get("/paid").text

    plan = HttpStatus(target="web", status=504, path="/pay", forward=True)
    record, found = inject(system, plan, during=during)
    assert found[0] == (504, "1")
    assert record.effect.held


def test_what_did_not_match_is_told(system):
    """Requests came, but none of the kind: not held, and the evidence says what came instead."""

    def during():
        with client(system) as session:
            warm(session)
            return [outcome(session, "GET", "/stats") for _ in range(20)]

    record, found = inject(system, HttpStatus(target="web", status=503, methods=["POST"], path="/pay"), 3, during)
    assert set(found[0]) == {200}
    assert not record.effect.held
    assert "no request matched" in record.effect.evidence
    assert "0 of 2" in record.effect.evidence
    assert "GET /stats: 2" in record.effect.evidence
    assert record.gone.held


def test_tls_and_other_protocols_pass_and_are_told(make_system, python_image):
    """Bytes that are no HTTP pass both ways; a fault that only met such connections is not held, and says why."""
    from tests.integration.faults import echo

    system = make_system({"echo": echo.service(python_image)})

    def during():
        with echo.Client(system) as one:
            first = one.trip(64)
        with echo.Client(system) as other:
            other.socket.sendall(b"\x16\x03\x01\x00\x04hey\n")
            return first, other.take(9)

    record, found = inject(system, HttpStatus(target="echo", status=503, ports=[7000]), during=during)
    assert found[0][1] == b"\x16\x03\x01\x00\x04hey\n"
    assert not record.effect.held
    assert "no request came" in record.effect.evidence
    assert "1 connections spoke TLS" in record.effect.evidence
    assert "1 connections spoke no HTTP" in record.effect.evidence


ASK = """
import sys, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=3).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def test_what_the_target_calls(make_system, python_image):
    """`direction: out`: the target's own calls to a peer are disturbed, calls of others to that peer are not."""
    system = make_system({"web": service(python_image), "other": service(python_image)})

    def asked_from(name: str, url: str) -> str:
        code, output = system.runner(name).run_inside(["python3", "-c", ASK, url])
        assert code == 0, output
        return output.strip()

    def during():
        with client(system, "other.http") as session:
            return asked_from("web", "http://other:8000/stats"), outcome(session, "GET", "/stats")

    plan = HttpStatus(target="web", status=429, direction="out", peers=["other"], path="/stats")
    record, found = inject(system, plan, 3, during)
    assert record.error is None, record.error
    assert found[0] == ("429", 200)
    assert record.effect.held, record.effect
    assert record.gone.held
    assert asked_from("web", "http://other:8000/stats") == "200"


def test_two_at_once(system):
    """Two faults on one connection: each disturbs its own requests, and answers keep their order."""
    context = context_of(system)
    made = [
        build_fault(plan, context)
        for plan in (
            HttpStatus(target="web", status=503, path="/pay"),
            HttpBody(target="web", text="345", replacement="-", path="/stats"),
        )
    ]
    for fault in made:
        fault.check()
        fault.inject(time.time() + 30)
    with client(system) as session:
        warm(session)
        for _ in range(3):
            assert outcome(session, "POST", "/pay", content=b"x") == 503
            assert session.get("/stats").text == "012-6789"
            assert session.get("/chunks").content == BODY
    assert all(fault.effect().held for fault in made)
    made[0].revert()
    with client(system) as session:
        assert session.post("/pay", content=b"x").content == b"x"
        assert session.get("/stats").text == "012-6789"
    made[1].revert()
    assert all(fault.gone().held for fault in made)
    assert sound(system)
    context.agents.close()
