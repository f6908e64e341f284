"""The settings of a node: the classes mirror the TOML file, key by key.

Each key is declared once, with its type, default, range and meaning; the errors, the reference in
``docs/configuration.md`` and a dialog are made from that.
"""

from __future__ import annotations

import socket

import attrs

from sbs.config.declare import checked, key, root, section
from sbs.config.failover import NO_WITNESS, FailoverSettings, WitnessSettings
from sbs.config.kinds import Choice, Flag, Integer, Member, Number, Path, Place, Text
from sbs.config.licence import LicenceSettings
from sbs.config.limits import (
    MAX_BYTES_S,
    MAX_KEEP_BYTES,
    MAX_KEEP_S,
    MAX_PERIOD_S,
    MIN_INTERVAL_S,
)
from sbs.config.lists import Array, ByteRate, Command, DeleteLimit, Filters, Paths
from sbs.config.mail import MailSettings
from sbs.config.places import pair_name
from sbs.config.services import ServiceSettings
from sbs.config.tls import TlsSettings
from sbs.config.web import WebSettings
from sbs.core.address import DEFAULT_PORT, Address
from sbs.core.claim import MAX_PRIORITY, Mode, Policy
from sbs.core.guard import DEFAULT_LIMIT
from sbs.core.limiter import MIN_BYTES_S
from sbs.core.manifest import FolderSpec

_DEFAULT_LISTEN = Address("127.0.0.1", DEFAULT_PORT)
_NO_COMMAND: tuple[str, ...] = ()
_NO_COMMANDS: tuple[tuple[str, ...], ...] = ()
_NO_TEXTS: tuple[str, ...] = ()


@attrs.frozen(kw_only=True, field_transformer=checked)
class NodeSettings:
    """Section ``[node]``: this node and its peer."""

    name: str = attrs.field(
        factory=socket.gethostname,
        metadata=key(
            Text(
                allowed="1 to 64 printable characters, a letter or digit first",
                pattern=r"[^\W_].{0,63}",
            ),
            "What people call this node.",
            default="the host name",
        ),
    )
    mode: Mode = attrs.field(
        default=Mode.SYMMETRIC,
        metadata=key(
            Member(Mode),
            "Which roles the node is meant for. The two `-only` modes belong together, one on "
            "each node.",
        ),
    )
    listen: Address = attrs.field(
        default=_DEFAULT_LISTEN,
        metadata=key(
            Place(any_port=True),
            "The address this node serves, whatever its role. Beyond loopback only with "
            "`tls.identity`, or `tls.insecure`.",
        ),
    )
    peer: Address = attrs.field(
        metadata=key(Place(), "The address of the other node; port 4445 when left out.")
    )
    state_dir: str = attrs.field(
        default="/var/lib/sbs",
        metadata=key(
            Path(),
            "Where the node keeps its identity, epochs, index and journal; outside every folder.",
        ),
    )
    priority: int = attrs.field(
        default=100,
        metadata=key(
            Integer(0, MAX_PRIORITY),
            "Between equal nodes that start together, the greater becomes primary.",
        ),
    )
    slot: int | None = attrs.field(
        default=None,
        metadata=key(
            Integer(0, 1),
            "Which half of the fencing numbers is this node's: `SBS_EPOCH` is "
            "2 * counter + slot. Set on both nodes, to different values, or on none.",
            default="decided when the nodes first meet",
        ),
    )


@attrs.frozen(kw_only=True, field_transformer=checked)
class SyncSettings:
    """Section ``[sync]``: how folders are replicated."""

    period_s: float = attrs.field(
        default=30.0,
        metadata=key(
            Number(MIN_INTERVAL_S, MAX_PERIOD_S), "Seconds from one update to the next (R20)."
        ),
    )
    strict_delete: bool = attrs.field(
        default=False,
        metadata=key(Flag(), "Delete on the secondary what the primary does not have."),
    )
    preserve_mtime: bool = attrs.field(
        default=False,
        metadata=key(Flag(), "Copies bear the source's time stamp, not the time of the copy."),
    )
    watch: bool = attrs.field(
        default=True,
        metadata=key(
            Flag(), "Begin an update when a file changes, without waiting for the period."
        ),
    )
    max_deletes: str | int = attrs.field(
        default=DEFAULT_LIMIT,
        metadata=key(
            DeleteLimit(),
            "Hold an update that would delete more files of a folder: the share is of those on "
            'the secondary. A folder that was emptied is held, too, but for `"off"`.',
        ),
    )
    rescan_s: float = attrs.field(
        default=3600.0,
        metadata=key(
            Number(MIN_INTERVAL_S, MAX_PERIOD_S),
            "Seconds between full scans, which do not trust the watcher (`watch`); without it "
            "every update scans fully.",
        ),
    )
    compression: str = attrs.field(
        default="auto",
        metadata=key(
            Choice(("auto", "off")),
            'What this node sends as primary: `"auto"` compresses contents where a sample and the '
            "measured speeds say that they arrive sooner.",
        ),
    )
    max_bytes_s: int = attrs.field(
        default=0,
        metadata=key(
            ByteRate(MIN_BYTES_S, MAX_BYTES_S),
            "Bytes that this node sends as primary in a second, of contents as they travel; 0: no "
            "limit. The last update of a handover is not held back.",
        ),
    )
    accept_under: tuple[str, ...] = attrs.field(
        default=_NO_TEXTS,
        metadata=key(
            Paths(),
            "Where a folder that this node has no `[[folders]]` entry for may lie, when the "
            "primary has one (R24).",
        ),
    )
    keep_versions_s: float = attrs.field(
        default=604_800.0,
        metadata=key(
            Number(0, MAX_KEEP_S),
            "Seconds that this node keeps files which updates overwrite or delete in its folders; "
            "0: none is kept. See `sbs history`, `sbs restore`.",
        ),
    )
    keep_versions_bytes: int = attrs.field(
        default=10 * 1024**3,
        metadata=key(
            Integer(0, MAX_KEEP_BYTES),
            "Bytes of them in each folder, the oldest generation goes first; 0: no limit but the "
            "time. The default is 10 GiB. On a full disk they give way in any case.",
        ),
    )


@attrs.frozen(kw_only=True, field_transformer=checked)
class FolderSettings:
    """One ``[[folders]]``: a replicated folder."""

    name: str = attrs.field(
        metadata=key(
            Text(allowed="1 to 64 printable characters without '/'", pattern="[^/]{1,64}"),
            "What the two nodes share: each may have its own path for it.",
        )
    )
    path: str = attrs.field(
        metadata=key(Path(), "The folder on this node; not inside another, nor in `state_dir`.")
    )
    filters: tuple[str, ...] = attrs.field(
        default=_NO_TEXTS,
        metadata=key(
            Filters(), "What is replicated: the last rule that matches wins, without one a file is."
        ),
    )
    owner: bool = attrs.field(
        default=False,
        metadata=key(
            Flag(), "Copies have the source's user and group, by name where both nodes know it."
        ),
    )
    xattr: bool = attrs.field(
        default=False,
        metadata=key(Flag(), "Copies have the source's extended attributes, ACLs among them."),
    )


@attrs.frozen(kw_only=True, field_transformer=checked)
class HookSettings:
    """Section ``[hooks]``: commands that SBS runs."""

    update: tuple[tuple[str, ...], ...] = attrs.field(
        default=_NO_COMMANDS,
        metadata=key(
            Array(Command(), "commands, each an array of strings"),
            "On the primary, before an update: export what is not a file; paths printed count "
            "as changed (docs/hooks.md).",
            sensitive=True,
        ),
    )
    apply: tuple[tuple[str, ...], ...] = attrs.field(
        default=_NO_COMMANDS,
        metadata=key(
            Array(Command(), "commands, each an array of strings"),
            "On the secondary, after an update was applied.",
            sensitive=True,
        ),
    )
    transition: tuple[tuple[str, ...], ...] = attrs.field(
        default=_NO_COMMANDS,
        metadata=key(
            Array(Command(), "commands, each an array of strings"),
            "At each change of role, with `SBS_ROLE`, `SBS_EPOCH` and `SBS_REASON` in the "
            "environment.",
            sensitive=True,
        ),
    )
    timeout_s: float = attrs.field(
        default=300.0,
        metadata=key(
            Number(MIN_INTERVAL_S, MAX_PERIOD_S),
            "Seconds that each of them may take, and `failover.fence`; then it is killed.",
        ),
    )
    on_update_failure: str = attrs.field(
        default="alarm",
        metadata=key(
            Choice(("alarm", "hold")),
            "What a failed update script means: an alarm, and the folders are replicated as they "
            "are; or nothing is sent until it succeeds.",
        ),
    )


@attrs.frozen(kw_only=True, field_transformer=checked)
class RequirementSettings:
    """Section ``[requirements]``: what ``sbs probe`` compares on both nodes (R64)."""

    install_path: str = attrs.field(
        default="", metadata=key(Text(), "Where the application is installed, on both nodes.")
    )
    account: str = attrs.field(
        default="", metadata=key(Text(), "The account its services run under, on both nodes.")
    )
    capture_folder: str = attrs.field(
        default="", metadata=key(Text(), "The folder both nodes take their input from.")
    )


@attrs.frozen(kw_only=True)
class Config:
    """The configuration of a node, as :func:`sbs.config.load` makes it.

    Args:
        path: the file it was read from.
        warnings: settings that have no effect in this version, and the like, one line each.
        refusal: why no node may run with this file: others could change it, and so choose the
            commands that SBS runs; empty if there is no reason.
    """

    node: NodeSettings = attrs.field(metadata=section(NodeSettings, "This node and its peer."))
    sync: SyncSettings = attrs.field(
        factory=SyncSettings, metadata=section(SyncSettings, "How folders are replicated.")
    )
    folders: tuple[FolderSettings, ...] = attrs.field(
        default=(),
        metadata=section(FolderSettings, "One replicated folder; the names are unique.", many=True),
    )
    hooks: HookSettings = attrs.field(
        factory=HookSettings, metadata=section(HookSettings, "Commands that SBS runs.")
    )
    requirements: RequirementSettings = attrs.field(
        factory=RequirementSettings,
        metadata=section(RequirementSettings, "What `sbs probe` compares on both nodes."),
    )
    services: ServiceSettings = attrs.field(
        factory=ServiceSettings,
        metadata=section(ServiceSettings, "The application's services and who starts them."),
    )
    failover: FailoverSettings = attrs.field(
        factory=FailoverSettings,
        metadata=section(FailoverSettings, "When and how the secondary takes over."),
    )
    witness: WitnessSettings = attrs.field(
        factory=WitnessSettings,
        metadata=section(WitnessSettings, "The third vote."),
    )
    licence: LicenceSettings = attrs.field(
        factory=LicenceSettings,
        metadata=section(LicenceSettings, "What this node may do."),
    )
    mail: MailSettings = attrs.field(
        factory=MailSettings,
        metadata=section(MailSettings, "How the administrator is told by mail (docs/mail.md)."),
    )
    tls: TlsSettings = attrs.field(
        factory=TlsSettings,
        metadata=section(TlsSettings, "How the nodes prove who they are (docs/pairing.md)."),
    )
    web: WebSettings = attrs.field(
        factory=WebSettings,
        metadata=section(WebSettings, "The node's state by HTTP (docs/web.md)."),
    )
    path: str = ""
    warnings: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def policy(self) -> Policy:
        """What silence means (B3): as set, or what the witness makes possible."""
        if self.failover.partition_policy:
            return Policy(self.failover.partition_policy)
        return Policy.AVAILABILITY if self.witness.adapter == NO_WITNESS else Policy.QUORUM

    @property
    def witness_pair(self) -> str:
        """What the pair is called at the witness: the same on both nodes (B3)."""
        return self.witness.pair or pair_name(self.node.listen, self.node.peer)

    @property
    def witness_name(self) -> str:
        """Adapter and pair, which both nodes must have alike; empty without a witness."""
        adapter = self.witness.adapter
        return "" if adapter == NO_WITNESS else f"{adapter[:100]} {self.witness_pair}"

    def folder_specs(self) -> tuple[FolderSpec, ...]:
        """The folders as the primary tells them to the secondary (R24)."""
        return tuple(
            FolderSpec(
                name=folder.name,
                path=folder.path,
                filters=folder.filters,
                strict_delete=self.sync.strict_delete,
                preserve_mtime=self.sync.preserve_mtime,
                owner=folder.owner,
                xattr=folder.xattr,
            )
            for folder in self.folders
        )


FILE = root(Config, "A configuration file.")
"""The declarations of everything a file may hold."""
