"""What the nodes of a session say about the folders; the bytes are in ``docs/protocol.md``.

The leader sends its folders' settings, the follower lists what it has; then generations follow,
each from :class:`Begin` to a verdict.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs
from attrs.validators import and_, deep_iterable, ge, instance_of, le, max_len

from sbs.core.epoch import Epoch
from sbs.core.folding import Folding
from sbs.core.history import DIGEST_BYTES, Generation
from sbs.core.manifest import (
    MAX_FILE_BYTES,
    MAX_FOLDERS,
    Entry,
    FolderSpec,
    Operation,
    check_path,
)

MAX_BODY_BYTES = 1024 * 1024
"""Raw content in one frame: a heartbeat never waits behind more than this."""

MAX_ITEMS = 8192
"""Entries or operations in one message: its head stays below a megabyte in practice."""

MAX_SERVICES = 4096
"""Names in a list of services."""

MAX_SERVICE_NAME = 256
"""Characters of each: as many as any service manager takes."""

MAX_AUDITED = 256
"""Files compared at once: an update waits for no more of them."""

MAX_FINDINGS = 100
"""Findings told in one message: more than anybody reads; the finder's log has all."""

MAX_TEXT = 2000
"""Characters of an explanation for people."""

_RAW_BYTES = and_(instance_of(int), ge(0), le(MAX_BODY_BYTES))


@attrs.frozen
class Folders:
    """The leader's folder settings (R24); the follower answers with listings."""

    epoch: Epoch
    folders: tuple[FolderSpec, ...] = attrs.field(
        validator=[deep_iterable(instance_of(FolderSpec)), max_len(MAX_FOLDERS)]
    )


@attrs.frozen(kw_only=True)
class Listing:
    """A part of what stands in the follower's folder; ``last`` ends the last folder's list.

    A directory stands before what is below it, and the entries of one directory come together.
    ``folding`` says what the folder's file system does to names; once is enough.
    The last one is always sent, also where there is nothing to list; then updates may begin.
    """

    folder: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_FOLDERS - 1)])
    entries: tuple[Entry, ...] = attrs.field(default=(), validator=max_len(MAX_ITEMS))
    last: bool = False
    folding: Folding = attrs.field(default=Folding.NONE, validator=instance_of(Folding))


@attrs.frozen(kw_only=True)
class Fragment:
    """The follower has the beginning of a file whose sending was cut (B24).

    Args:
        folder: of the session, where the file belongs.
        path: of it.
        size_bytes: of the beginning.
        digest: of it, as of a file's content.
    """

    folder: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_FOLDERS - 1)])
    path: str = attrs.field(validator=instance_of(str))
    size_bytes: int = attrs.field(validator=[instance_of(int), ge(1), le(MAX_FILE_BYTES)])
    digest: bytes = attrs.field(repr=False, validator=instance_of(bytes))

    def __attrs_post_init__(self) -> None:
        check_path(self.path)
        if len(self.digest) != DIGEST_BYTES:
            raise ValueError(f"'digest' must be {DIGEST_BYTES} bytes, not {len(self.digest)}")


@attrs.frozen
class Begin:
    """A generation begins, made in ``epoch``; legal when the last one has its verdict.

    Args:
        epoch: the leader's.
        number: of the generation.
        files: how many contents will come, for a progress display.
        size_bytes: of those contents together, likewise.
    """

    epoch: Epoch
    number: int = attrs.field(validator=[instance_of(int), ge(1), le(2**62)])
    files: int = attrs.field(default=0, validator=[instance_of(int), ge(0), le(2**62)])
    size_bytes: int = attrs.field(default=0, validator=[instance_of(int), ge(0), le(2**62)])


@attrs.frozen
class Pack:
    """Operations, and in their order the contents of those that are carried here.

    ``raw_bytes`` is what the body has when it is decompressed, or 0: it is as it is.
    """

    operations: tuple[Operation, ...] = attrs.field(validator=max_len(MAX_ITEMS))
    body: bytes = attrs.field(default=b"", repr=False, validator=max_len(MAX_BODY_BYTES))
    raw_bytes: int = attrs.field(default=0, kw_only=True, validator=_RAW_BYTES)


@attrs.frozen
class Chunk:
    """The next piece of a large file; ``stream`` numbers the file within the generation.

    An operation takes the stream before the next one begins; else it is forgotten.

    ``folder`` is where the file will stand: it is staged on that folder's own file system.
    In a stream that a :class:`Patch` began, ``at`` is where the piece belongs; else it is -1.
    ``raw_bytes`` is as in :class:`Pack`.
    """

    stream: int = attrs.field(validator=[instance_of(int), ge(0), le(2**31 - 1)])
    body: bytes = attrs.field(default=b"", repr=False, validator=max_len(MAX_BODY_BYTES))
    folder: int = attrs.field(default=0, validator=[instance_of(int), ge(0), le(MAX_FOLDERS - 1)])
    at: int = attrs.field(default=-1, validator=[instance_of(int), ge(-1), le(MAX_FILE_BYTES)])
    raw_bytes: int = attrs.field(default=0, kw_only=True, validator=_RAW_BYTES)


@attrs.frozen(kw_only=True)
class Patch:
    """A stream begins as a copy of the follower's own file, as a fragment, or as zeros (B24).

    Chunks replace parts of it; what is never written of zeros takes no room on the disk.

    Args:
        stream: as in :class:`Chunk`.
        folder: where both files stand.
        path: of the file.
        digest: that the follower's file must have, or the :class:`Fragment` that it told of at this
            path; empty: the stream begins as zeros.
        size_bytes: of the content to come: the copy is cut or extended to it.
    """

    stream: int = attrs.field(validator=[instance_of(int), ge(0), le(2**31 - 1)])
    folder: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_FOLDERS - 1)])
    path: str = attrs.field(validator=instance_of(str))
    digest: bytes = attrs.field(
        repr=False,
        validator=and_(instance_of(bytes), max_len(DIGEST_BYTES)),
    )
    size_bytes: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_FILE_BYTES)])

    def __attrs_post_init__(self) -> None:
        check_path(self.path)
        if len(self.digest) not in (0, DIGEST_BYTES):
            raise ValueError(f"'digest' must be 0 or {DIGEST_BYTES} bytes, not {len(self.digest)}")


def _check_services(
    _instance: object, _attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]
) -> None:
    for name in value:
        if not 1 <= len(name) <= MAX_SERVICE_NAME or not name.isprintable():
            raise ValueError(
                f"'active' {name!r}: 1 to {MAX_SERVICE_NAME} printable characters are allowed"
            )


@attrs.frozen(kw_only=True)
class Commit:
    """The generation is complete.

    Args:
        generation: its name; the digest covers every operation, the active services and the
            predecessor's digest.
        operations: how many there were.
        active: the services that start on takeover (R32).
    """

    generation: Generation
    operations: int = attrs.field(validator=[instance_of(int), ge(0), le(2**62)])
    active: tuple[str, ...] = attrs.field(
        default=(),
        validator=[deep_iterable(instance_of(str)), max_len(MAX_SERVICES), _check_services],
    )


@attrs.frozen
class Abandon:
    """The leader gives the begun generation up; the follower forgets it and answers Failed.

    Unless it had failed already: each Begin has exactly one verdict.
    """

    text: str = attrs.field(default="", validator=[instance_of(str), max_len(MAX_TEXT)])


@attrs.frozen
class Committed:
    """The follower holds ``generation`` durably: it survives a power cut (B20)."""

    generation: Generation


@attrs.frozen
class Failed:
    """The follower did not take the begun generation; it still holds the last one.

    May be sent at any time after Begin; also the answer to Abandon.
    """

    text: str = attrs.field(default="", validator=[instance_of(str), max_len(MAX_TEXT)])


@attrs.frozen(kw_only=True)
class Finding:
    """Something about one path of the follower that the leader's administrator should know.

    Args:
        folder: its name.
        path: within it.
        text: one line.
        kept: the name, within the folder, of the follower's own version that was set aside because
            it differed after a partition (B4); empty for any other finding.
        note: the content stands there, and something else about it, or about the whole folder
            where ``path`` is empty, could not be set.
    """

    folder: str = attrs.field(validator=and_(instance_of(str), max_len(64)))
    path: str = attrs.field(validator=and_(instance_of(str), max_len(4096)))
    text: str = attrs.field(default="", validator=and_(instance_of(str), max_len(MAX_TEXT)))
    kept: str = attrs.field(default="", validator=and_(instance_of(str), max_len(4096)))
    note: bool = False


@attrs.frozen(kw_only=True)
class Findings:
    """What the follower found while it took the generation before; replaces what it told before.

    Args:
        findings: the first of them.
        total: how many there are.
    """

    findings: tuple[Finding, ...] = attrs.field(
        validator=[deep_iterable(instance_of(Finding)), max_len(MAX_FINDINGS)]
    )
    total: int = attrs.field(validator=[instance_of(int), ge(0), le(2**62)])


def _check_paths(
    _instance: object, _attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]
) -> None:
    for path in value:
        check_path(path)


@attrs.frozen
class Audit:
    """The leader asks what these files of the follower hold, read anew (B26)."""

    folder: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_FOLDERS - 1)])
    paths: tuple[str, ...] = attrs.field(validator=[max_len(MAX_AUDITED), _check_paths])


@attrs.frozen
class Audited:
    """The answer to an Audit: a digest for each path; empty for what is no file, or changes."""

    digests: tuple[bytes, ...] = attrs.field(validator=max_len(MAX_AUDITED))


Content: TypeAlias = Pack | Chunk | Patch
"""What carries a generation's contents."""
