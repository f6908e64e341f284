"""The service that the demo keeps available: an HTTP server that says who answers.

Run as a script, never imported: ``service.py PORT``. Its answer is a JSON object with ``node`` and
``epoch``, as SBS gave them in the environment. It uses :mod:`socketserver` because that starts in
a third of the time of :mod:`http.server`: the demo measures SBS, not the import of a library.
"""

from __future__ import annotations

import json
import os
import socketserver
import sys
from typing import ClassVar

MAX_LINE_BYTES = 4096
"""Longest line of a request's head: browsers send cookies of other loopback services."""

MAX_LINES = 100
"""Most lines of a request's head."""


class Handler(socketserver.StreamRequestHandler):
    """Answers any request alike."""

    timeout: ClassVar[float | None] = 2.0

    def handle(self) -> None:
        """Read the head, write the answer, close."""
        for _ in range(MAX_LINES):
            if self.rfile.readline(MAX_LINE_BYTES) in (b"\r\n", b"\n", b""):
                break
        node, epoch = os.environ["SBS_NODE"], int(os.environ["SBS_EPOCH"])
        body = json.dumps({"node": node, "epoch": epoch}).encode() + b"\n"
        head = (
            "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.wfile.write(head.encode() + body)


class Server(socketserver.TCPServer):
    """One request at a time, on a port that the killed one before it may just have left."""

    allow_reuse_address = True
    request_queue_size = 64


def main(port: int) -> None:
    """Serve loopback until killed."""
    with Server(("127.0.0.1", port), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
