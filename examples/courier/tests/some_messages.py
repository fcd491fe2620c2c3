"""Sends forty messages one after another, over one connection, and says how many were accepted: a repetition's work.

SHAKEDOWN_API_HTTP=http://127.0.0.1:8000 python3 some_messages.py
"""

import http.client
import json
import os
import sys
import time
import uuid

MESSAGES, PER_SECOND, WITHIN = 40, 80, 90


def main() -> None:
    """Send them, each until it is accepted; ends with 1 when some were not within the time."""
    host = os.environ["SHAKEDOWN_API_HTTP"].removeprefix("http://").rstrip("/")
    begun = time.monotonic()
    connection, accepted = http.client.HTTPConnection(host, timeout=10), 0
    for number in range(MESSAGES):
        body = json.dumps({"id": str(uuid.uuid4()), "user": f"u{number}", "text": "where is my parcel?"})
        time.sleep(max(0.0, begun + number / PER_SECOND - time.monotonic()))
        while time.monotonic() < begun + WITHIN:
            try:
                connection.request("POST", "/messages", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):  # a slow moment; the same id is the same message
                connection.close()
                continue
            if answer.status == 202:
                accepted += 1
                break
            time.sleep(0.2)
    sys.stdout.write(f"{accepted} of {MESSAGES} accepted\n")
    sys.exit(accepted != MESSAGES)


if __name__ == "__main__":
    main()
