"""A folder whose disk is not mounted: nothing is written in its stead (B20, B22)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sbs.errors import ReplicationError
from tests.disk.mounts import disk_at
from tests.replication.rig import Pair, look, proceed, read, write


def test_a_recovery_waits_for_the_disk(tmp_path: Path) -> None:
    """B20: a machine that starts may mount later than SBS starts; else g+1 would be lost on it."""
    (tmp_path / "b" / "data").mkdir(parents=True)
    with disk_at(tmp_path / "b" / "data") as disk:
        with Pair(str(tmp_path)) as pair:
            write(f"{pair.a}/f", b"content")
            pair.connect()
            record = pair.commit(pair.stage())
        disk.unmount()
        with Pair(str(tmp_path)) as pair:
            for _ in range(2):
                with pytest.raises(ReplicationError, match=r"/b/data'.* is its disk mounted\?"):
                    pair.target.recover(proceed)
                assert os.listdir(pair.b) == []
            disk.mount()
            assert pair.target.recover(proceed) == record
            assert look(pair.b) == look(pair.a)
        disk.unmount()
        assert os.listdir(tmp_path / "b" / "data") == []


def test_an_update_is_refused_while_the_disk_is_not_mounted(tmp_path: Path) -> None:
    """B20: in a session and at the beginning of one."""
    (tmp_path / "b" / "data").mkdir(parents=True)
    with disk_at(tmp_path / "b" / "data") as disk, Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", b"one")
        pair.replicate()
        write(f"{pair.a}/f", b"two")
        disk.unmount()
        with pytest.raises(ReplicationError, match="another directory than when this session"):
            pair.stage()
        with pytest.raises(ReplicationError, match="lay on another file system before"):
            pair.connect()
        assert os.listdir(pair.b) == []
        disk.mount()
        assert read(f"{pair.b}/f") == b"one"
        pair.update()
        assert look(pair.b) == look(pair.a)


def test_a_new_disk_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """B22: the secondary's copy may begin anew; only the root file system is no disk of its own."""
    place = tmp_path / "b" / "data"
    place.mkdir(parents=True)
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", b"content")
        with disk_at(place):
            pair.replicate()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
        subprocess.run(mount, check=True)
        try:
            pair.replicate()
            assert look(pair.b) == look(pair.a)
        finally:
            pair.target.close()
            subprocess.run(["umount", str(place)], check=True)


def test_a_folder_that_is_made_anew_is_filled_anew(tmp_path: Path) -> None:
    """B20: in the next session; in this one it is not known what is missing in it."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", b"content")
        pair.replicate()
        os.rename(pair.b, f"{pair.b}-before")  # which keeps its number
        os.mkdir(pair.b)
        write(f"{pair.a}/g", b"content")
        with pytest.raises(ReplicationError, match="another directory than when this session"):
            pair.stage()
        pair.replicate()
        assert look(pair.b) == look(pair.a)
        shutil.rmtree(f"{pair.b}-before")
