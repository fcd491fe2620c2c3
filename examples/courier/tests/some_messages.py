"""Sends forty messages one after another, over one connection, and says how many were accepted: a repetition's work.

    SHAKEDOWN_API_HTTP=http://127.0.0.1:8000 python3 some_messages.py
"""

import http.client
import json
import os
import sys
import time
import uuid

MESSAGES, PER_SECOND = 40, 80


def main() -> None:
    """Send them; ends with 1 when one was not accepted."""
    host = os.environ["SHAKEDOWN_API_HTTP"].removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=5)
    accepted, begun = 0, time.monotonic()
    for number in range(MESSAGES):
        time.sleep(max(0.0, begun + number / PER_SECOND - time.monotonic()))
        body = json.dumps({"id": str(uuid.uuid4()), "user": f"u{number}", "text": "where is my parcel?"})
        connection.request("POST", "/messages", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        accepted += answer.status == 202
    sys.stdout.write(f"{accepted} of {MESSAGES} accepted\n")
    sys.exit(accepted != MESSAGES)


if __name__ == "__main__":
    main()
