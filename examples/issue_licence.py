r"""How a vendor makes a key pair and issues licences (``docs/licences.md``).

    python examples/issue_licence.py keys vendor.key
    python examples/issue_licence.py issue vendor.key beta.licence \
        --kind backup --node beta --holder "Example Ltd" --serial 2026-0017 --expires 2027-01-31

The first prints the public key for ``licence.trusted_keys``; the private one stays with the vendor.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sbs import Licence, LicenceKind
from sbs.adapters.licences.form import key_text, sign


def make_keys(path: str) -> None:
    """Make a private key, readable for its owner alone, and print the public one."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "wb") as file:
        file.write(pem)
    print(f'trusted_keys = ["{key_text(key.public_key())}"]')


def issue(key_path: str, path: str, licence: Licence) -> None:
    """Write a licence, signed with the vendor's key."""
    with open(key_path, "rb") as file:
        key = load_pem_private_key(file.read(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    beside = f"{path}.new"
    with open(beside, "wb") as file:
        file.write(sign(licence, key))
    os.rename(beside, path)  # a node that looks meanwhile finds the old one, or the new one
    print(f"{path}: {licence.kind.value}, serial {licence.serial}, for {licence.node}")


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description="Keys and licences of a vendor.")
    commands = parser.add_subparsers(dest="command", required=True)
    keys = commands.add_parser("keys", help="make a key pair")
    keys.add_argument("key")
    issuing = commands.add_parser("issue", help="issue a licence")
    issuing.add_argument("key")
    issuing.add_argument("file")
    issuing.add_argument("--kind", choices=[kind.value for kind in LicenceKind], required=True)
    issuing.add_argument("--node", required=True, help="node.name of the node that it is for")
    issuing.add_argument("--holder", required=True)
    issuing.add_argument("--serial", required=True)
    issuing.add_argument("--issued", type=dt.date.fromisoformat, default=dt.date.today())
    issuing.add_argument("--expires", type=dt.date.fromisoformat, help="the last day")
    given = parser.parse_args()
    if given.command == "keys":
        make_keys(given.key)
    else:
        licence = Licence(
            serial=given.serial,
            kind=LicenceKind(given.kind),
            holder=given.holder,
            node=given.node,
            issued=given.issued,
            expires=given.expires,
        )
        issue(given.key, given.file, licence)


if __name__ == "__main__":
    main()
