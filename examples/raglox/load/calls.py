"""What needs more than a request: a client that gives up, one that asks too often, one that sends a lot."""

import http.client
import uuid

from shakedown.user import User


def _client(user: User, timeout: float = 5.0) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(user.host, user.port, timeout=timeout)


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None, **headers: str
) -> int:
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def cut_off(user: User) -> None:
    """Give up after 0.1 s, cleanly; the next call is answered within 2 s."""
    with user.measure("cut_off"):
        impatient = _client(user, 0.1)
        try:
            _ask(impatient, "GET", "/report?seconds=30")
        except TimeoutError:
            pass
        else:
            raise AssertionError("a report of thirty seconds was there within a tenth of one")
        finally:
            impatient.close()
    with user.measure("next"):
        patient = _client(user, 2.0)
        try:
            status = _ask(patient, "GET", "/tasks/none")
        finally:
            patient.close()
        assert status == 404, f"the next call was answered with {status}"


def rapid(user: User) -> None:
    """A hundred requests as fast as they are answered: some are told to come later, all others are served."""
    connection, client = _client(user), f"rapid-{uuid.uuid4()}"
    with user.measure("rapid"):
        answers = [_ask(connection, "GET", "/tasks/none", **{"X-Client": client}) for _ in range(100)]
    connection.close()
    with user.measure("limited"):
        assert set(answers) <= {404, 429}, f"neither served nor told to come later: {sorted(set(answers) - {404, 429})}"
        assert 429 in answers, "none of a hundred rapid requests was told to come later"
        assert 404 in answers, "not one of a hundred rapid requests was served"


def document(user: User) -> None:
    """Ten megabytes at once."""
    connection = _client(user, 20.0)
    with user.measure("document"):
        status = _ask(connection, "POST", "/documents", b"hello world " * (10_000_000 // 12))
        assert status == 200, f"answered with {status}"
    connection.close()
