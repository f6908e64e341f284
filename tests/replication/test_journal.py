"""The journal on a disk that refuses now and then (B20); found by refusing every call once."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from sbs.errors import ReplicationError
from sbs.replication.receiving import journal
from tests.replication.rig import Pair, look, proceed, write


def refuse(*_arguments: Any, **_keywords: Any) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def changed(tmp_path: Path) -> Any:
    """A pair with a change to replicate."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", b"one")
        pair.replicate()
        write(f"{pair.a}/f", b"two")
        yield pair


@pytest.mark.parametrize("call", ["unlink", "sync_directory"])
def test_a_journal_that_cannot_be_removed_can_be_applied_again(
    changed: Pair, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    record = changed.commit(changed.stage())
    with monkeypatch.context() as patches:
        remove = changed.target._journal.remove

        def remove_refused() -> None:
            with monkeypatch.context() as inner:
                inner.setattr(os if call == "unlink" else journal, call, refuse)
                remove()

        patches.setattr(changed.target._journal, "remove", remove_refused)
        with pytest.raises(ReplicationError, match="Input/output error"):
            changed.target.apply(record, proceed)
    assert changed.target.apply(record, proceed).problems == ()
    assert look(changed.b) == look(changed.a)
    assert os.listdir(f"{changed.state_dir}/journal") == []


def test_a_commit_that_cannot_be_taken_back_is_no_commit_as_soon_as_it_can(
    changed: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = changed.stage()
    rename = os.rename
    with monkeypatch.context() as patches:
        patches.setattr(journal, "sync_directory", refuse)

        def rename_once(source: str, target: str, **keywords: Any) -> None:
            if source.endswith("/commit"):
                refuse()
            rename(source, target, **keywords)

        patches.setattr(os, "rename", rename_once)
        with pytest.raises(ReplicationError, match="Input/output error"):
            changed.commit(update)
        with pytest.raises(ReplicationError, match="Input/output error"):
            changed.target.abandon()
    changed.target.abandon()
    assert os.listdir(f"{changed.state_dir}/journal") == []
    changed.replicate()
    assert look(changed.b) == look(changed.a)
