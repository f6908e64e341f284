"""What two nodes say to each other; the bytes are in ``docs/protocol.md``.

One connection is one conversation. Both sides begin with :class:`Hello`. The side that dialled
may then :class:`Follow`; if it is answered by :class:`Welcome` the connection is a session, in
which the *leader* (the primary, which accepted) sends updates and the *follower* (the secondary,
which dialled) takes them.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs
from attrs.validators import and_, deep_iterable, ge, instance_of, le, max_len, min_len

from sbs.core.claim import Claim, Pause
from sbs.core.epoch import Epoch
from sbs.core.history import DIGEST_BYTES, Generation, History
from sbs.core.manifest import (
    MAX_FILE_BYTES,
    MAX_FOLDERS,
    Entry,
    FolderSpec,
    Operation,
    check_path,
)
from sbs.core.testament import Fenced, Will

PROTOCOL_VERSION = 1
"""The newest version of the protocol that this release speaks."""

MAX_VERSION = 65535
"""Largest version a Hello may offer."""

MAX_BODY_BYTES = 1024 * 1024
"""Raw content in one frame: a heartbeat never waits behind more than this."""

MAX_ITEMS = 8192
"""Entries or operations in one message: its head stays below a megabyte in practice."""

MAX_TEXT = 2000
"""Characters of an explanation for people."""

MAX_FACTS = 16
"""Settings compared between the nodes: a hello stays far below its limit of 64 KiB."""

MAX_SERVICES = 4096
"""Names in a list of services."""

MAX_HOLD_S = 7 * 86_400.0
"""Longest promise of a voter, in seconds: beyond a week it is a mistake."""

MAX_FINDINGS = 100
"""Findings told in one message: more than anybody reads; the finder's log has all."""


class Code(enum.Enum):
    """Why a node refuses; the text beside it is for people."""

    VERSION = "version"
    """No protocol version in common."""
    PROTOCOL = "protocol"
    """The peer broke the protocol."""
    IDENTITY = "identity"
    """Both nodes have the same identity: one is a copy of the other, or they are one."""
    MODE = "mode"
    """Both nodes have the same "only" mode (R6)."""
    NOT_PRIMARY = "not-primary"
    """The node does not lead; the peer must decide anew."""
    POLICY = "policy"
    """The nodes have different partition policies (B3)."""
    STALE = "stale"
    """The peer acts for an epoch that is over (B2)."""
    BUSY = "busy"
    """Too many connections, or still busy with the last one."""


def _check_versions(
    _instance: object, _attribute: attrs.Attribute[tuple[int, int]], value: tuple[int, int]
) -> None:
    low, high = value
    if not 1 <= low <= high <= MAX_VERSION:
        raise ValueError(f"'versions' must be lowest and highest, 1 to {MAX_VERSION}, not {value}")


@attrs.frozen
class Fact:
    """A setting that the nodes of a pair have in common, for ``sbs probe`` (R64)."""

    name: str = attrs.field(validator=and_(instance_of(str), max_len(100)))
    value: str = attrs.field(validator=and_(instance_of(str), max_len(MAX_TEXT)))


@attrs.frozen(kw_only=True)
class Hello:
    """The first message of either side.

    Args:
        versions: lowest and highest protocol version this side speaks.
        software: name and version, for people.
        claim: who the node is; ``None`` from a visitor that only looks, such as ``sbs probe``.
        facts: settings that ``sbs probe`` compares.
        clock_ns: the sender's wall clock, nanoseconds since 1970; 0 for unknown.
    """

    versions: tuple[int, int] = attrs.field(validator=_check_versions)
    software: str = attrs.field(default="", validator=[instance_of(str), max_len(100)])
    claim: Claim | None = None
    facts: tuple[Fact, ...] = attrs.field(
        default=(), validator=[deep_iterable(instance_of(Fact)), max_len(MAX_FACTS)]
    )
    clock_ns: int = attrs.field(default=0, validator=[instance_of(int), ge(0), le(2**63 - 1)])


@attrs.frozen
class Refused:
    """The last message before the sender closes."""

    code: Code = attrs.field(validator=instance_of(Code))
    text: str = attrs.field(default="", validator=[instance_of(str), max_len(MAX_TEXT)])


@attrs.frozen
class Follow:
    """The dialler asks to be the secondary; ``epoch`` is the newest it has heard of."""

    epoch: Epoch


@attrs.frozen
class Welcome:
    """The acceptor is primary in ``epoch`` with ``history``; the connection is a session now."""

    epoch: Epoch
    history: History


@attrs.frozen
class Heartbeat:
    """Sign of life; ``echo`` is the ``sequence`` of the last one received, 0 for none."""

    sequence: int = attrs.field(validator=[instance_of(int), ge(0), le(2**62)])
    echo: int = attrs.field(default=0, validator=[instance_of(int), ge(0), le(2**62)])


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

    The last one is always sent, also where there is nothing to list; then updates may begin.
    """

    folder: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_FOLDERS - 1)])
    entries: tuple[Entry, ...] = attrs.field(default=(), validator=max_len(MAX_ITEMS))
    last: bool = False


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
    """Operations, and in their order the contents of those that are carried here."""

    operations: tuple[Operation, ...] = attrs.field(validator=max_len(MAX_ITEMS))
    body: bytes = attrs.field(default=b"", repr=False, validator=max_len(MAX_BODY_BYTES))


@attrs.frozen
class Chunk:
    """The next piece of a large file; ``stream`` numbers the file within the generation.

    An operation takes the stream before the next one begins; else it is forgotten.

    ``folder`` is where the file will stand: it is staged on that folder's own file system.
    In a stream that a :class:`Patch` began, ``at`` is where the piece belongs; else it is -1.
    """

    stream: int = attrs.field(validator=[instance_of(int), ge(0), le(2**31 - 1)])
    body: bytes = attrs.field(default=b"", repr=False, validator=max_len(MAX_BODY_BYTES))
    folder: int = attrs.field(default=0, validator=[instance_of(int), ge(0), le(MAX_FOLDERS - 1)])
    at: int = attrs.field(default=-1, validator=[instance_of(int), ge(-1), le(MAX_FILE_BYTES)])


@attrs.frozen(kw_only=True)
class Patch:
    """A stream begins as a copy of the follower's own file; chunks replace parts of it (B24).

    Args:
        stream: as in :class:`Chunk`.
        folder: where both files stand.
        path: of the follower's file, which must have this ``digest``.
        size_bytes: of the content to come: the copy is cut or extended to it.
    """

    stream: int = attrs.field(validator=[instance_of(int), ge(0), le(2**31 - 1)])
    folder: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_FOLDERS - 1)])
    path: str = attrs.field(validator=instance_of(str))
    digest: bytes = attrs.field(
        repr=False,
        validator=and_(instance_of(bytes), min_len(DIGEST_BYTES), max_len(DIGEST_BYTES)),
    )
    size_bytes: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_FILE_BYTES)])

    def __attrs_post_init__(self) -> None:
        check_path(self.path)


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
    active: tuple[str, ...] = attrs.field(default=(), validator=max_len(MAX_SERVICES))


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
class Released:
    """The leader has stopped its services and given up its epoch after ``generation``.

    Args:
        epoch: the leader's.
        generation: its last; the follower takes the role only if it holds that one.
        granted: serial of the newest GrantLease that the leader has received, 0 for none: its
            vote for the follower is younger than that grant (``docs/roles.md``, Votes).
        leaving: the leader ends, and will not follow.
    """

    epoch: Epoch
    generation: Generation | None
    granted: int = attrs.field(default=0, validator=[instance_of(int), ge(0), le(2**62)])
    leaving: bool = attrs.field(default=False, validator=instance_of(bool))


@attrs.frozen
class Taken:
    """The follower has taken the role over; ``epoch`` is its own, and durable."""

    epoch: Epoch


@attrs.frozen
class Serving:
    """The leader's services run, in ``epoch``."""

    epoch: Epoch


def _check_hold(_instance: object, _attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value <= MAX_HOLD_S:  # not a number is neither
        raise ValueError(f"'hold_s' must be 0 to {MAX_HOLD_S:g}, not {value}")


@attrs.frozen(kw_only=True)
class AskLease:
    """The leader asks for the follower's vote, for a while (B3).

    Args:
        epoch: the leader's.
        serial: of this request, greater than that of the one before.
        hold_s: for so long after its grant the follower promises not to stand against the leader,
            0 to :data:`MAX_HOLD_S`.
    """

    epoch: Epoch
    serial: int = attrs.field(validator=[instance_of(int), ge(1), le(2**62)])
    hold_s: float = attrs.field(validator=[instance_of(float), _check_hold])


@attrs.frozen
class GrantLease:
    """The follower's vote: the answer to the AskLease with this ``serial``."""

    serial: int = attrs.field(validator=[instance_of(int), ge(1), le(2**62)])


@attrs.frozen
class SetPause:
    """An operator has paused or resumed automatic takeovers on the sender's side (B6)."""

    pause: Pause


@attrs.frozen(kw_only=True)
class Finding:
    """Something about one path of the follower that the leader's administrator should know.

    Args:
        folder: its name.
        path: within it.
        text: one line.
        kept: the name, within the folder, of the follower's own version that was set aside because
            it differed after a partition (B4); empty for any other finding.
    """

    folder: str = attrs.field(validator=and_(instance_of(str), max_len(64)))
    path: str = attrs.field(validator=and_(instance_of(str), max_len(4096)))
    text: str = attrs.field(default="", validator=and_(instance_of(str), max_len(MAX_TEXT)))
    kept: str = attrs.field(default="", validator=and_(instance_of(str), max_len(4096)))


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


Content: TypeAlias = Pack | Chunk | Patch
"""What carries a generation's contents."""

Message: TypeAlias = (
    Hello
    | Refused
    | Follow
    | Welcome
    | Heartbeat
    | Folders
    | Listing
    | Begin
    | Pack
    | Chunk
    | Patch
    | Commit
    | Abandon
    | Committed
    | Failed
    | Released
    | Taken
    | Serving
    | AskLease
    | GrantLease
    | SetPause
    | Will
    | Fenced
    | Findings
)
