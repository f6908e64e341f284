"""The form of a licence file: text that a person can read, and a signature over its bytes.

``docs/licences.md`` gives the layout.
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from sbs.core.licence import Kind, Licence
from sbs.core.printable import quoted
from sbs.errors import LicenceError

FORM: Final = 1
"""The form that this module writes and reads."""

MAX_BYTES: Final = 16 * 1024
"""Longest licence file: seven short lines, and room for comments."""

_SIGNATURE: Final = re.compile(rb'signature = "([A-Za-z0-9+/]{85}[AQgw]==)"\n?')
_REQUIRED: Final = ("sbs_licence", "serial", "kind", "holder", "node", "issued", "key")
_KEYS: Final = (*_REQUIRED, "expires")


def key_text(key: Ed25519PublicKey) -> str:
    """A public key as ``licence.trusted_keys`` and licences name it: base64 of its 32 bytes."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def sign(licence: Licence, key: Ed25519PrivateKey) -> bytes:
    """The licence file of a licence.

    Args:
        licence: to issue.
        key: the vendor's private key.
    """
    lines = [
        f"sbs_licence = {FORM}",
        f"serial = {_quoted(licence.serial)}",
        f"kind = {_quoted(licence.kind.value)}",
        f"holder = {_quoted(licence.holder)}",
        f"node = {_quoted(licence.node)}",
        f"issued = {licence.issued.isoformat()}",
    ]
    if licence.expires is not None:
        lines.append(f"expires = {licence.expires.isoformat()}")
    lines.append(f"key = {_quoted(key_text(key.public_key()))}")
    body = "".join(f"{line}\n" for line in lines).encode()
    signature = base64.b64encode(key.sign(body)).decode()
    return body + f'signature = "{signature}"\n'.encode()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def verify(data: bytes, trusted_keys: tuple[str, ...]) -> Licence:
    """The licence of a file's bytes, if one of the keys has signed it.

    Args:
        data: the whole file.
        trusted_keys: public keys, see :func:`key_text`.

    Raises:
        LicenceError: it is none, or not signed so; the text says what is wrong and what to do.
    """
    if len(data) > MAX_BYTES:
        raise LicenceError(f"is over {MAX_BYTES} bytes, and no licence; correct licence.path")
    begin = data.rfind(b"\nsignature = ") + 1
    body, found = data[:begin], _SIGNATURE.fullmatch(data, begin)
    if found is None or not body:
        hint = "; its lines end in CR LF, as of a copy made as text" if b"\r\n" in data else ""
        raise LicenceError(f"does not end with its signature{hint}; {_COPY}")
    fields = _fields(body)
    if fields["key"] not in trusted_keys:
        raise LicenceError(
            f"is signed with the key {_shown(fields['key'])}, which is none of "
            "licence.trusted_keys; ask whoever issued it which key is theirs"
        )
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(fields["key"], validate=True))
        key.verify(base64.b64decode(found[1]), body)
    except InvalidSignature as error:
        raise LicenceError(f"was changed after it was signed; {_COPY}") from error
    except (ValueError, binascii.Error) as error:
        raise LicenceError(
            f"key = {fields['key']!a} is no Ed25519 key; ask for a new one"
        ) from error
    return _licence(fields)


_COPY: Final = "copy it again from where it was issued, byte by byte"


def _shown(value: object) -> str:
    """What stands in a file that nobody has to have signed, in an error."""
    return quoted(ascii(value))


def _fields(body: bytes) -> dict[str, Any]:
    """The keys of the body, all of them known; their values are not looked at yet."""
    try:
        fields = tomllib.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise LicenceError(f"is no licence: {quoted(str(error))}; {_COPY}") from error
    form = fields.get("sbs_licence")
    if form != FORM or type(form) is not int:
        text = "is no licence of SBS" if form is None else f"is of the form {_shown(form)}"
        raise LicenceError(f"{text}; this program reads sbs_licence = {FORM}")
    for name in _REQUIRED:
        if name not in fields:
            raise LicenceError(f"lacks {name}; ask for a new one")
    for name in fields:
        if name not in _KEYS:
            raise LicenceError(f"has {_shown(name)}; this program knows {', '.join(_KEYS)}")
    return fields


def _licence(fields: dict[str, Any]) -> Licence:
    """What the signed fields say.

    Raises:
        LicenceError: the vendor has signed something that is none.
    """
    try:
        return Licence(
            serial=fields["serial"],
            kind=Kind(fields["kind"]),
            holder=fields["holder"],
            node=fields["node"],
            issued=fields["issued"],
            expires=fields.get("expires"),
        )
    except ValueError as error:
        raise LicenceError(
            f"is signed, but wrong: {quoted(str(error))}; ask for a new one"
        ) from error
