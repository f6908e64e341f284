"""Gives the primary an address that clients know: a transition hook of SBS (Linux, IPv4).

    transition = [["python3", "floating_address.py", "192.0.2.10/24", "eth0"]]

The primary takes the address and says so to its network (gratuitous ARP), so that nobody goes on
sending to the other machine; in every other role the address is removed. SBS needs the capability
CAP_NET_ADMIN, and CAP_NET_RAW for the ARP.

An SBS that is killed leaves the address where it is until it starts again: two machines have it
then, and the last one that announced it is heard. ``failover.fence`` is the remedy.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time

ETHERTYPE_ARP = 0x0806
ETHERNET = 1
IPV4 = 0x0800
REQUEST, REPLY = 1, 2
BROADCAST = b"\xff" * 6

ANNOUNCEMENTS = 3
"""How often it is announced: a frame may be lost."""

PAUSE_S = 0.2
"""From one announcement to the next."""


def ip(*words: str) -> str:
    """Run ``ip``; return what it prints."""
    return subprocess.run(["ip", *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def has(address: str, device: str) -> bool:
    """Whether the device has the address."""
    (shown,) = json.loads(ip("-json", "address", "show", "dev", device))
    present = {f"{entry['local']}/{entry['prefixlen']}" for entry in shown["addr_info"]}
    return address in present


def announcement(kind: int, hardware: bytes, address: str) -> bytes:
    """A frame that tells everybody whose an address is (RFC 5227, section 3; RFC 826)."""
    packed = socket.inet_aton(address)
    header = struct.pack("!HHBBH", ETHERNET, IPV4, len(hardware), len(packed), kind)
    target = bytes(6) if kind == REQUEST else hardware
    frame = BROADCAST + hardware + struct.pack("!H", ETHERTYPE_ARP)
    return frame + header + hardware + packed + target + packed


def announce(address: str, device: str) -> None:
    """Say it to the network, both ways: some listen to requests only, some to replies."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_ARP)) as sock:
        sock.bind((device, ETHERTYPE_ARP))
        hardware: bytes = sock.getsockname()[4]
        for turn in range(ANNOUNCEMENTS):
            if turn:
                time.sleep(PAUSE_S)
            for kind in (REQUEST, REPLY):
                sock.send(announcement(kind, hardware, address))


def main() -> None:
    """Take or leave the address, as ``SBS_ROLE`` says."""
    address, device = sys.argv[1:]
    number = address.partition("/")[0]
    try:
        if os.environ["SBS_ROLE"] == "primary":
            ip("address", "replace", address, "dev", device)
            announce(number, device)
        elif has(address, device):
            ip("address", "del", address, "dev", device)
    except (subprocess.CalledProcessError, OSError) as error:
        sys.exit(f"{address} on {device}: {error}")


if __name__ == "__main__":
    main()
