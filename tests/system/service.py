"""A service to watch: answers every HTTP request with its node, its epoch and its start time.

Run as a script with a port, and, if wanted, a file to which each start adds a line.
"""

import json
import os
import socket
import sys
import time

STARTED_AT = time.time()


def main() -> None:
    identity = {
        "node": os.environ["SBS_NODE"],
        "epoch": int(os.environ["SBS_EPOCH"]),
        "pid": os.getpid(),
        "started_at": STARTED_AT,
    }
    if len(sys.argv) > 2:
        with open(sys.argv[2], "a", encoding="ascii") as starts:
            starts.write(f"{json.dumps(identity)}\n")
    body = json.dumps(identity).encode()
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", int(sys.argv[1])))
        server.listen()
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n" + body)


if __name__ == "__main__":
    main()
