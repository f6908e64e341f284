"""The state file: written whole or not at all, read whole or not at all."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from sbs.core.effects import Durable
from sbs.core.epoch import Epoch
from sbs.core.history import Generation, History
from sbs.core.manifest import FolderSpec
from sbs.errors import StateError
from sbs.runtime.lasting.state import MAX_STATE_BYTES, StateStore, Stored, new_node, read_node_id
from tests.support import require

STORED = Stored(
    node_id="0123456789abcdef" * 2,
    durable=Durable(
        slot=1,
        epoch=Epoch(7, 0),
        history=History(
            (Generation(Epoch(3, 1), 9), Generation(Epoch(7, 0), 10, bytes(range(32))))
        ),
        held=True,
        on_silence=True,
        active=("printer-1", "drucker-\u00e4"),
    ),
    folders=(FolderSpec(name="data", path="/srv/app", filters=("- *.tmp",), strict_delete=True),),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    store = StateStore(str(tmp_path / "deep" / "state"))
    yield store
    store.close()


def aside(store: StateStore) -> list[str]:
    directory = os.path.dirname(store.path)
    return [name for name in os.listdir(directory) if "damaged" in name]


@pytest.mark.parametrize(
    "stored",
    [STORED, new_node(0), attrs.evolve(STORED, durable=attrs.evolve(STORED.durable, active=()))],
)
def test_what_was_saved_is_read(store: StateStore, stored: Stored) -> None:
    """B2."""
    assert store.load() is None
    for _ in range(2):
        store.save(stored)
        assert store.load() == stored
    assert read_node_id(os.path.dirname(store.path)) == stored.node_id


def test_state_is_for_its_owner_alone(store: StateStore) -> None:
    store.save(STORED)
    assert os.stat(store.path).st_mode & 0o077 == 0
    assert os.stat(os.path.dirname(store.path)).st_mode & 0o077 == 0


def test_new_nodes_differ() -> None:
    assert new_node(0).node_id != new_node(0).node_id


def test_damage_in_any_byte_is_found_and_the_file_set_aside(store: StateStore) -> None:
    """Never guessed: every byte is covered by the checksum or by the file's form."""
    store.save(STORED)
    whole = Path(store.path).read_bytes()
    choice = random.Random(1)
    outcomes: Counter[str] = Counter()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << choice.randrange(5)
        Path(store.path).write_bytes(damaged)
        outcomes[outcome(store)] += 1
    assert outcomes.keys() == {"set aside", "another version"}
    assert outcomes["another version"] == 1
    assert len(aside(store)) == outcomes["set aside"]


def outcome(store: StateStore) -> str:
    try:
        store.load()
    except StateError as error:
        return "set aside" if "set aside as" in str(error) else "another version"
    return "loaded"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 4096,
        b"[1]",
        b'"text"',
        b"[" * 200_000,
        b'{"version": 1, "sha256": "x", "body": 5}',
        b'{"version": 1}',
        b"{}",
        b" " * (MAX_STATE_BYTES + 1),
    ],
)
def test_no_state_is_set_aside_too(store: StateStore, content: bytes) -> None:
    Path(store.path).write_bytes(content)
    with pytest.raises(StateError, match="set aside as"):
        store.load()
    assert len(aside(store)) == 1
    assert store.load() is None


def test_truncated_file_is_set_aside(store: StateStore) -> None:
    """Adversarial 14."""
    store.save(STORED)
    whole = Path(store.path).read_bytes()
    for length in range(0, len(whole), 97):
        Path(store.path).write_bytes(whole[:length])
        with pytest.raises(StateError, match="set aside"):
            store.load()


def test_another_version_is_refused_and_left_alone(store: StateStore) -> None:
    store.save(STORED)
    document = json.loads(Path(store.path).read_bytes())
    Path(store.path).write_text(json.dumps({**document, "version": 2}))
    for _ in range(2):
        with pytest.raises(StateError, match="version 2, and this program reads 1"):
            store.load()
    with pytest.raises(StateError, match="version 2"):
        read_node_id(os.path.dirname(store.path))
    assert aside(store) == []


def test_damaged_file_that_cannot_be_set_aside_is_reported(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(store.path).write_bytes(b"x")

    def fail(*_paths: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(StateError, match="cannot be set aside: Read-only"):
        store.load()


def test_directory_in_the_files_place_is_reported(store: StateStore) -> None:
    os.mkdir(store.path)
    with pytest.raises(StateError, match="Is a directory"):
        store.load()
    with pytest.raises(StateError, match="cannot be written"):
        store.save(STORED)


def test_one_process_at_a_time(store: StateStore) -> None:
    directory = os.path.dirname(store.path)
    with pytest.raises(StateError, match="in use: another node runs"):
        StateStore(directory)
    store.save(STORED)


def test_directory_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="Not a directory"):
        StateStore(str(tmp_path / "file" / "state"))


def test_a_directory_that_everybody_can_write_to_is_refused(tmp_path: Path) -> None:
    """B62: somebody else could put a link where a file is written, or a socket of his own."""
    tmp_path.chmod(0o1777)
    with pytest.raises(StateError, match=f"state_dir {tmp_path}: everybody can write to it"):
        StateStore(str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """B62: made before the node was, in a directory where everybody may make one."""
    require(root=True)
    planted = tmp_path / "state"
    planted.mkdir()
    os.chown(planted, 12345, -1)
    with pytest.raises(StateError, match="state: belongs to the account 12345, and this one is 0"):
        StateStore(str(planted))


def test_a_directory_that_its_group_can_write_to_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o770)
    StateStore(str(tmp_path)).close()
    assert f"state_dir {tmp_path}: its group can write to it; run chmod g-w on it" in caplog.text


def test_failed_write_leaves_the_last_state(store: StateStore) -> None:
    """A full disk: here the limit of a file's size, which fails in the same place."""
    store.save(STORED)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(StateError, match="cannot be written: File too large"):
            store.save(new_node(0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert store.load() == STORED
    store.save(new_node(0))
    assert store.load() != STORED


def test_node_that_never_ran_has_no_identity(tmp_path: Path) -> None:
    assert read_node_id(str(tmp_path)) is None
    os.mkdir(tmp_path / "node.json")
    with pytest.raises(StateError, match="Is a directory"):
        read_node_id(str(tmp_path))
