"""A disk that becomes read-only, or is unmounted, under a running pair, and comes back (B20)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disk.mounts import Disk, disk_at
from tests.support import wait_until
from tests.system.nodes import Node, Pair, pair_in

OFTEN = {"sync": {"period_s": 1.0, "strict_delete": True, "max_deletes": "off"}}


@pytest.fixture
def often(tmp_path: Path) -> Iterator[Pair]:
    """A pair that tries again each second."""
    with pair_in(tmp_path, OFTEN) as pair:
        yield pair


def arrived(source: Node, copy: Node, name: str) -> None:
    """What is written now arrives, and no alarm stands after that."""
    (source.folder / name).write_text(name)
    copy.wait_file(name, name.encode())
    for node in (source, copy):
        node.wait_no_alarm()


@pytest.fixture
def secondary_disk(often: Pair) -> Iterator[Disk]:
    """The secondary's folder has a disk of its own; both run, and hold ``before``."""
    with disk_at(often.beta.folder) as disk:
        alpha, beta = often.start()
        arrived(alpha, beta, "before")
        yield disk
        often.end()


def test_the_secondarys_disk_becomes_read_only(often: Pair, secondary_disk: Disk) -> None:
    """B20: nothing of the update is there, both nodes say where and why, and later it arrives."""
    alpha, beta = often.nodes
    secondary_disk.make_read_only()
    (alpha.folder / "before").write_text("changed")
    (alpha.folder / "during").write_text("during")
    for node in often.nodes:
        text = node.wait_alarm("update-failed")
        assert "Read-only file system" in text
        assert str(beta.folder) in text
    assert (beta.folder / "before").read_text() == "before"
    assert not (beta.folder / "during").exists()
    assert alpha.role == "primary"
    secondary_disk.make_writable()
    beta.wait_file("during", b"during")
    beta.wait_file("before", b"changed")
    arrived(alpha, beta, "after")


def test_a_secondary_starts_with_a_read_only_disk(often: Pair, secondary_disk: Disk) -> None:
    """B20: it follows, takes nothing, and goes on by itself."""
    alpha, beta = often.nodes
    beta.stop()
    secondary_disk.make_read_only()
    beta.start()
    beta.wait_role("secondary")
    for node in often.nodes:
        text = node.wait_alarm("update-failed")
        assert "Read-only file system" in text
        assert str(beta.folder) in text
    secondary_disk.make_writable()
    arrived(alpha, beta, "after")


def test_the_secondarys_disk_is_unmounted(often: Pair, secondary_disk: Disk) -> None:
    """B20: nothing is written below the mount point; the disk misses nothing when it is back."""
    alpha, beta = often.nodes
    secondary_disk.unmount()
    (alpha.folder / "during").write_text("during")
    for node in often.nodes:
        text = node.wait_alarm("update-failed")
        assert "is its disk mounted?" in text
        assert str(beta.folder) in text
    assert os.listdir(beta.folder) == []
    secondary_disk.mount()
    beta.wait_file("during", b"during")
    assert (beta.folder / "before").read_text() == "before"
    arrived(alpha, beta, "after")


def test_a_secondary_starts_without_its_disk(often: Pair, secondary_disk: Disk) -> None:
    """B20: what the disk holds is not sent again to where it should be mounted."""
    alpha, beta = often.nodes
    beta.stop()
    secondary_disk.unmount()
    beta.start()
    beta.wait_role("secondary")
    for node in often.nodes:
        text = node.wait_alarm("update-failed")
        assert "is its disk mounted?" in text
        assert str(beta.folder) in text
    assert os.listdir(beta.folder) == []
    secondary_disk.mount()
    arrived(alpha, beta, "after")
    assert (beta.folder / "before").read_text() == "before"


@pytest.fixture
def primary_disk(often: Pair) -> Iterator[Disk]:
    """The same for the primary's folder."""
    with disk_at(often.alpha.folder) as disk:
        alpha, beta = often.start()
        arrived(alpha, beta, "before")
        yield disk
        often.end()


def test_the_primarys_disk_becomes_read_only(often: Pair, primary_disk: Disk) -> None:
    """B20: it can be read, so the pair is in step; what is written later arrives."""
    alpha, beta = often.nodes
    primary_disk.make_read_only()
    assert alpha.sbs("sync").returncode == 0
    assert alpha.alarms == {}
    primary_disk.make_writable()
    arrived(alpha, beta, "after")


def test_the_primarys_disk_is_unmounted(often: Pair, primary_disk: Disk) -> None:
    """B20, B22, adversarial case 12: the secondary keeps everything; deletes are strict."""
    alpha, beta = often.nodes
    primary_disk.unmount()
    text = alpha.wait_alarm("update-held")
    assert "folder 'data'" in text
    assert (beta.folder / "before").read_text() == "before"
    primary_disk.mount()
    wait_until(lambda: "update-held" not in alpha.alarms, "the alarm is over")
    arrived(alpha, beta, "after")
    assert (beta.folder / "before").read_text() == "before"
