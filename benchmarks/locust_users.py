"""Locust's fastest user."""  # noqa: INP001

from locust import FastHttpUser, constant, task


class User(FastHttpUser):  # type: ignore[misc]
    """Asks again as soon as it is answered."""

    wait_time = constant(0)

    @task
    def ask(self) -> None:
        """Ask, and check the status."""
        with self.client.get("/", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure("status")
