"""Every code block of the pages is run, loaded, or held against what is really printed.

What a block's language means here:

=========  =========================================================================================
python     is run
sh         is run by bash in a scratch directory, with ``sbs`` and ``python`` of this environment
toml       is loaded by what reads it: a whole configuration, a part of one, or of a package
json       is parsed
cfg        is checked by HAProxy
text       a transcript: its commands are typed at real nodes; else what a program prints
mermaid    is in :data:`ELSEWHERE`
{...}      a directive of Sphinx: ``test_site.py`` builds it
=========  =========================================================================================

Pages of ``docs/howto`` are followed as a whole on machines of their own: ``test_howto.py``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import pytest

from sbs.adapters.licences import form
from sbs.cli.progress import words
from sbs.config import parse
from sbs.core.lease import hold_s
from sbs.errors import ConfigError
from tests.docs.blocks import BLOCKS, PAGES, ROOT, Block, blocks_of, is_shown
from tests.docs.stage import PREPARED, PROMPT, VENDOR, stage_in, steps
from tests.support import NodeProcess, free_ports, require, sbs, wait_until

ELSEWHERE: Final = {
    "README.md: python3 -m venv --without-pip .venv && python3 -m pip --python .venv install . && "
    ".venv/bin/sbs demo": "needs a package index; .ci/run does it with the wheel",
    "README.md: python3 -m venv --without-pip .venv-test && python3 -m pip --python .venv-test "
    "install -r requirements-dev.txt && python3 -m pip --python .venv-test install --no-deps "
    "--no-build-isolation -e . && .venv-test/bin/python -m pytest": "this test runs in it: .ci/run",
    "docs/architecture.md: bytes -> FrameDecoder -> Frame -> codec -> Message -> Event -> "
    "transition() -> Effect -> port -> adapter": "a drawing",
    "docs/cli.md: sbs COMMAND [ARGUMENTS] [-c FILE]": "a form",
    "docs/cli.md: $ sudo sbs service install -c /etc/sbs/sbs.toml": "needs systemd as its first "
    "process: tests/cli/test_service.py and tests/systemd/test_node.py",
    "docs/commands.md": "made from the code: tests/cli/test_help.py parses it",
    "docs/dialog.md: sbs config -c alpha.toml": "needs a terminal: tests/dialog/test_terminal.py",
    "docs/howto/two-servers.md: python3 -m venv --without-pip /opt/sbs": "needs a package index; "
    ".ci/run does it with the wheel",
    "docs/howto/two-servers.md: python3 -m pip --python /opt/sbs install --upgrade "
    "'/root/sbs[systemd,web,dialog]'": "needs a package index, too",
    "docs/log.md: journalctl -u sbs  # everything, as sentences": "needs a journal: "
    "tests/systemd/test_journal.py",
    "docs/mail.md: beta has taken over from alpha; no service ran for 2.4 s.": "a letter: "
    "tests/core/test_letter.py has it word by word",
    "docs/pairing.md: $ sudo sbs init": "asks on a terminal: tests/cli/test_init.py",
    "docs/protocol.md: preamble  frame  frame  ...  end of stream": "a form",
    "docs/protocol.md: 00 00 00 11                 head and body are 17 bytes": "bytes: "
    "tests/core/test_codec.py",
    "docs/protocol.md: 00 00 00 23                 head and body are 35 bytes": "bytes: "
    "tests/core/test_codec.py",
    "docs/roles.md: stateDiagram-v2": "a drawing: tests/core/role/test_role_page.py",
    "docs/testing.md: uv pip compile --universal --python-version 3.11 --generate-hashes "
    "--no-emit-index-url --extra dev pyproject.toml -o requirements-dev.txt": "needs a package "
    "index: tests/checks/test_requirements.py compares what came of it",
    "docs/testing.md: pip-audit --disable-pip --require-hashes -r requirements-dev.txt": "needs a "
    "service on the internet: .ci/run",
    "docs/testing.md: python -m sphinx -W docs build/site": "tests/docs/test_site.py runs it",
    "docs/testing.md: python -m sphinx -W -D language=de docs build/de": "it is run "
    "by tests/docs/test_german.py",
    "docs/testing.md: python -m sphinx -b gettext -D include_patterns=tutorial.md "
    "-D root_doc=tutorial docs build/gettext": "tests/docs/test_german.py runs it, and the next",
    "docs/tutorial.md": "followed as a whole, in terminals: tests/docs/test_tutorial.py",
}
"""Blocks that are not run here, or all of a page: why, and where they are looked at instead."""

HOWTO: Final = "docs/howto/"

DIRECTIVES: Final = ("{toctree}", "{eval-rst}")

MINIMAL: Final = '[node]\npeer = "127.0.0.1:4446"\n'


def blocks(*languages: str) -> list[Block]:
    """Those of some languages that are run here."""
    return [
        block
        for block in BLOCKS
        if block.language in languages
        and not {block.page, block.name} & set(ELSEWHERE)
        and not block.page.startswith(HOWTO)
    ]


def every(*languages: str) -> pytest.MarkDecorator:
    """A test of each of them."""
    found = blocks(*languages)
    ids = [f"{block.page}:{block.line}" for block in found]
    return pytest.mark.parametrize("block", found, ids=ids)


def run_shell(text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run commands as a reader would who has SBS installed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=directory,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_block_says_what_it_is_and_is_run_or_accounted_for() -> None:
    known = {"python", "sh", "toml", "json", "cfg", "text", "mermaid", *DIRECTIVES}
    wrong = [
        f"{block.page}:{block.line}"
        for block in BLOCKS
        if block.language not in known
        and not (block.language == "ini" and block.page.startswith(HOWTO))
    ]
    assert not wrong, f"no runner for the language of {wrong}"
    assert not blocks("mermaid")
    assert len(BLOCKS) > 50


def test_what_is_not_run_here_is_looked_at_elsewhere() -> None:
    """The table has no block that is gone, and names tests that there are."""
    names = [block.name for block in BLOCKS] + list({block.page for block in BLOCKS})
    assert [name for name in ELSEWHERE if names.count(name) != 1] == []
    for reason in ELSEWHERE.values():
        for named in re.findall(r"tests/[\w./]+|\.ci/run", reason):
            assert (ROOT / named).is_file(), named


def test_a_block_without_an_end_is_an_error(tmp_path: Path) -> None:
    page = ROOT / "docs" / "index.md"
    assert [block.language for block in blocks_of(page)] == ["{toctree}"] * 4
    assert page in PAGES


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("beta leads since 12:00:01\n", "beta leads since 08:30:59\n", True),
        ("beta leads since 12:00:01\n", "alpha leads since 08:30:59\n", False),
        ("it took 0.4 s", "it took 12 s\n", True),
        ("it took 0.4 s", "it took 12 s\nand failed\n", False),
        ("a\n...\nz", "a\nb\nc\nz\n", True),
        ("a\n...\n", "a\nb\nc\n", True),
        ("a\n...\nz", "a\nb\nc\n", False),
        ("8d2f 0c41 ...", "0123 4567 89ab\n", True),
        ("held as 3f6a90b1c2d4", "held as 0a1b2c3d4e5f", True),
        ("id: 5f1c9a3e-7", "id: afddaafa-1", True),
        ("id: 5f1c9a3e-7", "id: 12345678-1", True),
        ("1 changed", "1 deleted", False),
    ],
)
def test_the_comparison_lets_pass_what_differs_between_runs_alone(
    shown: str, printed: str, same: bool
) -> None:
    assert is_shown(shown, printed) is same


@every("sh", "python")
def test_commands_run(block: Block, tmp_path: Path) -> None:
    """Where the pages have a node's files, a node's files are."""
    made = sbs("init", "-c", tmp_path / "sbs.toml", "--peer", "127.0.0.1:4446")
    assert made.returncode == 0, made.stderr
    if block.language == "sh":
        done = run_shell(block.text, tmp_path)
    else:
        (tmp_path / "block.py").write_text(block.text)
        done = run_shell("python block.py", tmp_path)
    assert done.returncode == 0, done.stderr


@every("toml")
def test_configuration_is_what_the_reader_takes(block: Block) -> None:
    """R2 and the rest of docs/configuration.md; parts stand in the smallest file that there is."""
    tables = tomllib.loads(block.text)
    match list(tables):
        case ["project"]:
            assert set(tables["project"]["entry-points"]) <= entry_points().groups
        case ["sbs_licence", *_]:
            own = form.key_text(VENDOR.public_key())
            body = block.text.replace(tables["key"], own).rpartition("signature")[0].encode()
            signature = b64encode(VENDOR.sign(body)).decode()
            signed = body + f'signature = "{signature}"\n'.encode()
            assert form.verify(signed, (own,)).holder == tables["holder"]
        case sections:
            text = block.text if "node" in sections else MINIMAL + block.text
            parse(text, "/etc/sbs/sbs.toml")


@every("json")
def test_json_is_json(block: Block) -> None:
    assert json.loads(block.text)


@every("cfg")
def test_haproxy_takes_its_configuration(block: Block, tmp_path: Path) -> None:
    """B61"""
    require("haproxy")
    before = (ROOT / "examples" / "monitoring" / "haproxy.cfg").read_text("utf-8")
    path = tmp_path / "haproxy.cfg"
    path.write_text(before.partition("\nlisten ")[0] + "\n" + block.text)
    done = subprocess.run(["haproxy", "-c", "-f", path], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


TRANSCRIPTS: Final = [block for block in blocks("text") if PROMPT.match(block.text)]


@pytest.mark.parametrize("block", TRANSCRIPTS, ids=lambda each: f"{each.page}:{each.line}")
def test_transcript_is_what_is_printed(block: Block, tmp_path: Path) -> None:
    first = next(steps(block.text))[1]
    begin = max((each for each in PREPARED if first.startswith(each)), key=len, default=None)
    assert begin is not None, f"no stage for {first}"
    with stage_in(tmp_path) as stage:
        PREPARED[begin](stage)
        for at, command, shown in steps(block.text):
            printed = stage.run(at, command)
            assert is_shown(shown, printed) or not shown, f"{command}\n{printed}"


# What other blocks of text are held against, by their names.


def refused(text: str) -> str:
    """What the reader says of a configuration."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "/etc/sbs.toml")
    return str(caught.value)


def log(directory: Path) -> str:
    """The first lines of a node that finds no other."""
    listen, peer = free_ports(2)
    node = NodeProcess(directory / "alpha", listen=listen, peer=peer)
    node.start()
    try:
        wait_until(lambda: "no-secondary" in node.log.read_text(), "the log has begun")
    finally:
        node.end()
    lines = node.log.read_text().splitlines(keepends=True)
    return "".join(line for line in lines if " role primary" in line or " no-secondary" in line)


def events(directory: Path) -> str:
    """What a listener is told at once, and the line for when nothing is to tell."""
    listen, peer, web = free_ports(3)
    settings = {"web": {"listen": f"127.0.0.1:{web}"}}
    node = NodeProcess(directory / "alpha", listen=listen, peer=peer, settings=settings)
    node.start()
    try:
        node.wait_role("primary")
        with urllib.request.urlopen(f"http://127.0.0.1:{web}/events", timeout=20) as answer:
            told = "".join(answer.readline().decode() for _ in range(6))
    finally:
        node.end()
    return f"{told}: the node lives\n"


def hold(_: Path) -> str:
    """The formula with its own numbers in it."""
    lease, stop, drift = 5.0, 5.0, 0.01
    assert f"{hold_s(lease, stop, drift):.1f}" in _page("configuration")
    (block,) = (each for each in blocks("text") if each.text.startswith("hold = "))
    formula = block.text.partition("=")[2].partition("     ")[0].strip()
    values = {"witness.lease_s": lease, "failover.stop_bound_s": stop, "d": drift}
    for name, value in values.items():
        formula = re.sub(rf"\b{re.escape(name)}\b", repr(value), formula)
    assert eval(formula) == pytest.approx(hold_s(lease, stop, drift))  # noqa: S307
    return block.text


def _page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text("utf-8")


def progress(_: Path) -> str:
    """The line of a terminal."""
    found = {
        "phase": "sending",
        "files": 4120,
        "files_total": 10000,
        "bytes": int(1.4 * 2**30),
        "bytes_total": int(3.4 * 2**30),
        "bytes_s": 110.3 * 2**20,
        "remaining_s": 18.0,
    }
    return f"sending  [########------------]   41%  {words(found)}\n"


def help_of(*words: str) -> Callable[[Path], str]:
    """A form is right if each of its options is in the program's help."""

    def look(_: Path) -> str:
        (block,) = (each for each in blocks("text") if each.text.startswith(" ".join(words)))
        done = subprocess.run(
            [sys.executable, *words[1:], "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        options = re.findall(r"--[a-z-]+", block.text)
        assert [option for option in options if option not in done.stdout] == []
        return block.text

    return look


MODE: Final = f'{MINIMAL}mode = "both"\n[failover]\ndown_interval = 2\n'
LEASE: Final = f'{MINIMAL}[witness]\nadapter = "folder"\npath = "/mnt"\nlease_s = 0.6\n'

PRINTED: Final[dict[str, Callable[[Path], str]]] = {
    'docs/configuration.md: /etc/sbs.toml: node.mode = "both": allowed are "symmetric", '
    '"primary-only", "backup-only"': lambda _: refused(MODE),
    "docs/configuration.md: /etc/sbs.toml: witness.lease_s = 0.6: allowed is at least 2 * "
    "failover.heartbeat_interval_s, or a vote runs out between two looks at the time, and 0.6 < 2 "
    "* 0.5 = 1": lambda _: refused(LEASE),
    "docs/configuration.md: hold = (witness.lease_s + failover.stop_bound_s + 0.25) * (1 + d) / "
    "(1 - d)     d = failover.max_clock_drift": hold,
    "docs/log.md: 2026-01-31T12:00:00.123+01:00 INFO    role primary, epoch 4.1: no other node "
    "answered at the start": log,
    "docs/cli.md: sending  [########------------]   41%  4120 of 10000 files, 1.4 GiB of 3.4 GiB, "
    "110.3 MiB/s, 18 s left": progress,
    "docs/web.md: retry: 2000": events,
    "docs/performance.md: python -m tests.bench [W1 ... W9 TLS detection growth slow starts] "
    "[--scale S] [--count N] [--directory D] [--json]": help_of("python", "-m", "tests.bench"),
}


@pytest.mark.parametrize(
    "block",
    [block for block in blocks("text") if block not in TRANSCRIPTS],
    ids=lambda each: f"{each.page}:{each.line}",
)
def test_text_is_what_is_printed(block: Block, tmp_path: Path) -> None:
    assert block.name in PRINTED, "nothing is known of this block"
    assert is_shown(block.text, PRINTED[block.name](tmp_path))
