"""automations.yaml on a real server: what it says arrives where its block says."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.events import emit_event
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.conftest import ROOT
from tests.e2e.deployed import Prefect
from tests.e2e.servers import client_environment
from tests.safety.world import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
NOBODY = "00000000-0000-0000-0000-000000000000"


class _Receiver(BaseHTTPRequestHandler):
    """Somebody's webhook."""

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.interruptions  # two minutes at worst, for Prefect's own services
def test_a_regression_is_told(_shared_server: str, tmp_path: Path):  # noqa: PT019 - its address
    """All three automations are taken by the server; an event of a run becomes a message with its figures."""
    prefect = Prefect(_shared_server, client_environment(tmp_path, _shared_server, NO_COLOR="1"))
    with HTTPServer(("127.0.0.1", 0), _Receiver) as receiver:
        receiver.got = []
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            with temporary_settings({PREFECT_API_URL: _shared_server}):
                block = CustomWebhookNotificationBlock(
                    name="told",
                    url=f"http://127.0.0.1:{receiver.server_port}",
                    json_data={"subject": "{{subject}}", "body": "{{body}}"},
                )
                identity = block.save("told", overwrite=True)
                text = (ROOT / "automations.yaml").read_text().replace(NOBODY, str(identity))
                path = tmp_path / "automations.yaml"
                path.write_text(text)
                prefect("automation", "create", "--from-file", path)
                names = {one["name"] for one in prefect.post("automations/filter", {})}
                assert names >= {one["name"] for one in yaml.safe_load(text)["automations"]}
                payload = {
                    "run": "run-1", "figure": "stress.send.p95", "value": 0.25, "usual": 0.2, "limit": 0.21, "unit": "s",
                    "runs": 9, "reason": "three in a row",
                }  # fmt: skip
                resource = {"prefect.resource.id": "shakedown.run.run-1", "shakedown.plan": "courier"}

                def told() -> bool:
                    emit_event("shakedown.regression.found", resource=resource, payload=payload)
                    return wait_for(lambda: receiver.got, 5)

                assert wait_for(told, 120)  # said again: the server takes up automations in its own time
        finally:
            receiver.shutdown()
            thread.join()
    message = receiver.got[0]
    assert message["subject"] == "courier got worse"
    assert "stress.send.p95: 0.25 s, usually 0.2, limit 0.21" in message["body"]
    assert "run run-1" in message["body"]
