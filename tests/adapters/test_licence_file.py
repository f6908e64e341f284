"""Licence files: their form, and what makes one count (B40)."""

from __future__ import annotations

import base64
import datetime as dt
import os
import threading
import tomllib
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sbs.adapters.licences import form, installed, load
from sbs.adapters.licences.file import MAX_LOOKS, open_policy
from sbs.adapters.licences.none import open_policy as open_none
from sbs.core.licence import Kind, Licence
from sbs.errors import ConfigError, LicenceError
from sbs.ports import LicenceOptions
from sbs.testing import licences

VENDOR = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
"""RFC 8032 has no opinion on this key; it makes the same file each time."""

TRUSTED = (form.key_text(VENDOR.public_key()),)

LICENCE = Licence(
    serial="2026-0017",
    kind=Kind.BACKUP,
    holder='Example "Ltd" \\ Söhne',
    node="beta",
    issued=dt.date(2026, 1, 31),
    expires=dt.date(2027, 1, 31),
)

FILE = b"""\
sbs_licence = 1
serial = "2026-0017"
kind = "backup"
holder = "Example \\"Ltd\\" \\\\ S\xc3\xb6hne"
node = "beta"
issued = 2026-01-31
expires = 2027-01-31
key = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
signature = "@"
"""
"""As docs/licences.md shows it, but for the signature."""


def signed(body: bytes, key: Ed25519PrivateKey = VENDOR) -> bytes:
    """What a vendor's own program may write."""
    return body + b'signature = "' + base64.b64encode(key.sign(body)) + b'"\n'


def body_of(data: bytes) -> bytes:
    return data[: data.rindex(b"signature = ")]


def test_the_file_is_as_the_page_says() -> None:
    """B40: a body that a person can read, and a signature over its bytes."""
    data = form.sign(LICENCE, VENDOR)
    signature = base64.b64encode(VENDOR.sign(body_of(data)))
    assert data == FILE.replace(b"@", signature)
    assert data.endswith(b'signature = "' + signature + b'"\n')
    assert len(data) - len(body_of(data)) == 13 + 88 + 1 + 1
    assert tomllib.loads(data.decode())["holder"] == LICENCE.holder
    assert form.verify(data, TRUSTED) == LICENCE
    assert form.verify(data[:-1], TRUSTED) == LICENCE


@given(
    st.builds(
        Licence,
        serial=st.text(min_size=1, max_size=200).filter(str.isprintable),
        kind=st.sampled_from(Kind),
        holder=st.text(min_size=1, max_size=200).filter(str.isprintable),
        node=st.text(min_size=1, max_size=200).filter(str.isprintable),
        issued=st.dates(),
        expires=st.none() | st.dates(),
    )
)
def test_what_is_signed_is_what_is_read(licence: Licence) -> None:
    assert form.verify(form.sign(licence, VENDOR), ("x", *TRUSTED)) == licence


def test_no_byte_can_be_changed() -> None:
    """B40: flip each bit once."""
    data = form.sign(LICENCE, VENDOR)
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with pytest.raises(LicenceError):
                form.verify(bytes(changed), TRUSTED)


@given(st.binary(min_size=1, max_size=300))
def test_garbage_is_no_licence(data: bytes) -> None:
    for text in (data, signed(data), data + form.sign(LICENCE, VENDOR), signed(data + b"\n")):
        with pytest.raises(LicenceError):
            form.verify(text, TRUSTED)


OTHER = Ed25519PrivateKey.from_private_bytes(b"x" * 32)
BODY = body_of(form.sign(LICENCE, VENDOR))
COPY = "copy it again from where it was issued, byte by byte"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", f"does not end with its signature; {COPY}"),
        (BODY, f"does not end with its signature; {COPY}"),
        (signed(BODY) + b"\n", f"does not end with its signature; {COPY}"),
        (signed(b""), f"does not end with its signature; {COPY}"),
        (
            signed(BODY).replace(b"\n", b"\r\n"),
            "does not end with its signature; its lines end in CR LF, as of a copy made as text",
        ),
        (b"#" * form.MAX_BYTES + signed(BODY), "is over 16384 bytes, and no licence"),
        (signed(BODY.replace(b"beta", b"alpha"))[:-90] + signed(BODY)[-90:], "was changed after"),
        (signed(BODY, OTHER), f"was changed after it was signed; {COPY}"),
        (
            form.sign(LICENCE, OTHER),
            f"is signed with the key '{form.key_text(OTHER.public_key())}', which is none of "
            "licence.trusted_keys",
        ),
        (signed(b"a = \xff\n"), "is no licence: 'utf-8' codec can't decode"),
        (signed(b"a = " + b"[" * 9000 + b"\n"), "is no licence: "),
        (signed(b"a = 1\n"), "is no licence of SBS; this program reads sbs_licence = 1"),
        (signed(b"sbs_licence = 2\n"), "is of the form 2; this program reads sbs_licence = 1"),
        (signed(b"sbs_licence = true\n"), "is of the form True"),
        (signed(BODY.replace(b"node", b"#")), "lacks node; ask for a new one"),
        (signed(b"more = 1\n" + BODY), "has 'more'; this program knows sbs_licence, serial"),
        (
            signed(BODY.replace(b'"backup"', b'"all"')),
            "is signed, but wrong: 'all' is not a valid Kind; ask for a new one",
        ),
        (
            signed(BODY.replace(b"2027-01-31", b"2027-01-31T00:00:00Z")),
            "is signed, but wrong: expires = 2027-01-31 00:00:00+00:00: allowed is a date",
        ),
        (
            signed(BODY.replace(b'"beta"', b'"' + b"b" * 201 + b'"')),
            "allowed is a string of 1 to 200 printable characters",
        ),
    ],
)
def test_what_is_wrong_is_told(data: bytes, says: str) -> None:
    """B40: one clear line."""
    with pytest.raises(LicenceError) as caught:
        form.verify(data, TRUSTED)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_trusted_key_that_is_none_verifies_nothing() -> None:
    data = signed(BODY.replace(TRUSTED[0].encode(), b"no key"))
    with pytest.raises(LicenceError, match="key = 'no key' is no Ed25519 key"):
        form.verify(data, ("no key",))


def put_at(path: Path) -> licences.Put:
    """Issue licences as a file, by rename."""

    def write(licence: Licence | None) -> None:
        path.unlink(missing_ok=True)
        if licence is not None:
            beside = path.with_name("new")
            beside.write_bytes(form.sign(licence, VENDOR))
            beside.rename(path)

    async def put(licence: Licence | None) -> None:
        await trio.to_thread.run_sync(write, licence)

    return put


def options(path: Path) -> LicenceOptions:
    return LicenceOptions(node="beta", path=os.fspath(path), trusted_keys=TRUSTED)


async def test_file_policy_keeps_the_promises(tmp_path: Path) -> None:
    """R40 to R44, B40."""
    path = tmp_path / "licence"
    await licences.check_license_policy(open_policy, options(path), put_at(path))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "the licence is missing; put it there, or correct licence.path"),
        ("directory", "the licence is no regular file; put it there, or correct licence.path"),
        ("fifo", "the licence is no regular file; put it there, or correct licence.path"),
        ("fifo of a writer", "the licence is no regular file; put it there, or correct licence"),
        ("device", "the licence is no regular file; put it there, or correct licence.path"),
        ("loop", "the licence cannot be read: Too many levels of symbolic links"),
        ("long", "the licence is over 16384 bytes"),
        ("empty", "the licence does not end with its signature"),
        ("foreign", "the licence is for the node 'beta', and this one is 'alpha'; ask for one"),
    ],
)
async def test_what_the_path_may_lead_to(tmp_path: Path, kind: str, says: str) -> None:
    """B40, R43: the line names the file; nothing is waited for, and only what is there is wrong."""
    path = tmp_path / "licence"
    node = "beta"
    writer: int | None = None
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "fifo of a writer":  # that has nothing to say
            os.mkfifo(path)
            writer = os.open(path, os.O_RDWR)
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case "long":
            path.touch()
            os.truncate(path, 2**40)
        case "empty":
            path.touch()
        case "foreign":
            path.write_bytes(form.sign(LICENCE, VENDOR))
            node = "alpha"
    where = LicenceOptions(node=node, path=os.fspath(path), trusted_keys=TRUSTED)
    async with open_policy(where) as policy:
        with trio.fail_after(5):
            found = await policy.look()
    if writer is not None:
        os.close(writer)
    assert found.licence is None
    assert found.problem.startswith(f"{path}: {says}")
    assert found.absent == (kind not in ("long", "empty", "foreign"))


@pytest.mark.parametrize("kind", ["directory", "file", "missing"])
async def test_a_look_leaves_no_descriptor_open(tmp_path: Path, kind: str) -> None:
    """B40: it is looked at every two seconds, for years."""
    path = tmp_path / "licence"
    match kind:
        case "directory":
            path.mkdir()
        case "file":
            path.write_bytes(form.sign(LICENCE, VENDOR))

    def next_fd() -> int:
        fd = os.open(os.devnull, os.O_RDONLY)
        os.close(fd)
        return fd

    async with open_policy(options(path)) as policy:
        await policy.look()
        before = next_fd()
        for _ in range(5):
            await policy.look()
        assert next_fd() == before


async def test_a_file_system_that_hangs_takes_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B40: the looks that are given up wait for their turn, and the next after it is answered."""
    path = tmp_path / "licence"
    path.write_bytes(form.sign(LICENCE, VENDOR))
    go_on = threading.Event()
    hanging: list[str] = []

    really_open = os.open

    def hang(path: str, flags: int) -> int:
        hanging.append(path)
        go_on.wait(10)
        return really_open(path, flags)

    async with open_policy(options(path)) as policy:
        monkeypatch.setattr("sbs.adapters.licences.file.os.open", hang)
        for _ in range(3):
            with trio.move_on_after(0.05) as scope:
                await policy.look()
            assert scope.cancelled_caught
        assert len(hanging) == MAX_LOOKS
        go_on.set()
        with trio.fail_after(10):
            assert (await policy.look()).licence == LICENCE


async def test_no_policy_allows_everything() -> None:
    """B40: the default."""
    async with open_none(LicenceOptions(node="alpha")) as policy:
        found = await policy.look()
        assert found.unlimited
        assert (found.problem, found.warning) == ("", "")


# Finding adapters.

METADATA = "Metadata-Version: 2.1\nName: dongles\nVersion: 1.0\nProvides-Extra: licence\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that announces a policy."""
    info = tmp_path / "dongles-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text("[sbs.licences]\ndongle = no_such_module:open_policy\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("package")
def test_policies_of_other_packages_stand_beside_ours() -> None:
    """B40: integrators replace the policy with their own."""
    assert {"dongle", "file", "none"} <= set(installed())
    assert load("file") is open_policy
    with pytest.raises(ConfigError, match=r"cannot be imported: .*; install dongles\[licence\]"):
        load("dongle")
