"""``sbs completion``: the real shells ask, and nothing that they ask can hold up who types."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.shell_completion import BashComplete, PowerShellComplete, split_arg_string

from sbs.cli import COMMANDS, completing, main
from sbs.cli.completion import SHELLS, VARIABLE
from tests.cli.terminal import ENVIRONMENT, Terminal
from tests.support import ROOT, SBS, WAIT_S, Pair, require, sbs, table


def propose(line: str) -> list[str]:
    """What is proposed at the end of a line, within this process."""
    words = split_arg_string(line)[1:]
    typed = "" if line.endswith(" ") else words.pop()
    found = BashComplete(main, {}, "sbs", VARIABLE).get_completions(words, typed)
    return [f"<{item.type}>" if item.type != "plain" else item.value for item in found]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with services and folders, in the present directory; no node runs."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "alpha.toml"
    text = table("[node]", {"peer": "127.0.0.1:4446", "state_dir": "state"})
    for name in ("web", "printer-1", "print*"):
        text += table("[[services.unit]]", {"name": name, "command": ["sleep", "1"]})
    for name in ("settings", "spool"):
        text += table("[[folders]]", {"name": name, "path": f"/srv/{name}"})
    path.write_text(text)
    (tmp_path / "beta.toml").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "etc").mkdir()
    return path


# The real shells.


def ask_bash(line: str, directory: Path) -> list[str]:
    require("bash")
    script = (
        "source <(sbs completion bash)\n"
        'read -ra COMP_WORDS <<<"$1"; [[ $1 == *" " ]] && COMP_WORDS+=("")\n'
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        'complete -p sbs >&2; _sbs_completion sbs; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    said = _shell(["bash", "--norc", "-c", script, "bash", line], directory)
    assert said.stderr == "complete -o nosort -F _sbs_completion sbs\n"
    return said.stdout.splitlines()


def ask_fish(line: str, directory: Path) -> list[str]:
    require("fish")
    script = "sbs completion fish | source; complete -C $argv[1]"
    said = _shell(["fish", "--no-config", "-c", script, line], directory)
    assert said.stderr == ""
    return [line.partition("\t")[0] for line in said.stdout.splitlines()]


def ask_zsh(line: str, directory: Path) -> list[str]:
    """zsh completes on terminals alone; the list that it shows, without what it explains."""
    require("zsh")
    with Terminal(["zsh", "-f", "-i"], directory) as zsh:
        zsh.type("unset zle_bracketed_paste; autoload -U compinit; compinit -u -D\n")
        zsh.type("bindkey '^I' list-choices; LISTMAX=1000\n")
        zsh.type("source <(sbs completion zsh); PS1='rea''dy> '\n")
        zsh.read_until("ready> ")
        zsh.type(f"{line}\t")
        zsh.read_until(line)
        shown = zsh.read_until("ready> ")
    found = [row.split(" -- ")[0].split() for row in shown.splitlines()]
    return [word for words in found for word in words]


def _shell(command: list[str], directory: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=directory,
        env={**ENVIRONMENT, "HOME": str(directory), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=True,
    )


ASKS = {"bash": ask_bash, "fish": ask_fish, "zsh": ask_zsh}

in_each_shell = pytest.mark.parametrize("shell", ASKS)


@in_each_shell
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sbs st", {"status", "stop"}),
        ("sbs unit ", {"start", "stop", "restart"}),
        ("sbs status --", {"--json", "--watch", "--config", "--help"}),
        ("sbs run --log-level ", {"debug", "info", "warning", "error"}),
        ("sbs unit stop -c alpha.toml ", {"web", "printer-1"}),
        ("sbs history -c alpha.toml --folder s", {"settings", "spool"}),
        ("sbs status -c ", {"alpha.toml", "beta.toml"}),
    ],
)
def test_a_real_shell_proposes(shell: str, line: str, expected: set[str], config: Path) -> None:
    assert expected <= set(ASKS[shell](line, config.parent))


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_what_a_person_types_is_completed_and_runs(shell: str, tmp_path: Path) -> None:
    require(shell)
    options = ["--norc", "-i"] if shell == "bash" else ["-f", "-i"]
    with Terminal([shell, *options], tmp_path) as terminal:
        if shell == "zsh":
            terminal.type("autoload -U compinit; compinit -u -D\n")
        terminal.type(f"source <(sbs completion {shell}); echo rea''dy\n")
        terminal.read_until("ready\r\n")
        terminal.type("sbs switch\t--dr\t-h\n")
        terminal.read_until("Exchange the roles of the two nodes.")
        terminal.read_until("Examples:")


# PowerShell: there is none where these tests run, so its half of the protocol is played.


def test_powershell_is_answered_line_by_line(config: Path) -> None:
    env = {"COMP_WORDS": "sbs unit stop -c alpha.toml p", "COMP_CWORD": "5"}
    said = _shell([*SBS], config.parent, **env, **{VARIABLE: "powershell_complete"})
    assert (said.stdout, said.stderr) == ("plain\nprinter-1\n_\n", "")
    env = {"COMP_WORDS": "sbs sw", "COMP_CWORD": "1"}
    said = _shell([*SBS], config.parent, **env, **{VARIABLE: "powershell_complete"})
    summary = "Exchange the roles of the two nodes."
    assert said.stdout == f"plain\nswitchover\n{summary}\n"


def test_the_script_of_powershell_registers_the_program() -> None:
    script = sbs("completion", "powershell").stdout
    assert script.startswith("Register-ArgumentCompleter -Native -CommandName sbs -ScriptBlock {")
    for part in (f"$env:{VARIABLE} = 'powershell_complete'", "& sbs 2>$null", "CompletionResult"):
        assert part in script
    assert script == PowerShellComplete(main, {}, "sbs", VARIABLE).source()
    for opened, closed in ("{}", "()", "[]"):
        assert script.count(opened) == script.count(closed)


# What is proposed.


def test_every_command_and_nothing_else_is_proposed_first() -> None:
    assert propose("sbs ") == list(COMMANDS)
    assert propose("sbs completion ") == list(SHELLS)
    assert propose("sbs -") == ["--version", "-h", "--help"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sbs status -c ", ["alpha.toml", "beta.toml"]),
        ("sbs status -c al", ["alpha.toml"]),
        ("sbs status -c ./", ["./alpha.toml", "./beta.toml"]),
        ("sbs status -c e", ["<file>"]),  # the shell's own, which goes on into directories
        ("sbs status -c missing/", []),
        ("sbs explain ", ["<file>"]),
        ("sbs restore ", ["<file>"]),
        ("sbs init --state-dir ", ["<dir>"]),
        ("sbs unit start -c alpha.toml ", ["web", "printer-1"]),
        ("sbs unit start -c beta.toml ", []),
        ("sbs unit start -c missing.toml ", []),
        ("sbs restore x -c alpha.toml --folder ", ["settings", "spool"]),
        ("sbs restore x -c alpha.toml --generation ", []),
        ("sbs sync -c alpha.toml --accept ", []),
    ],
)
def test_values_come_from_files(line: str, expected: list[str], config: Path) -> None:
    assert propose(line) == expected


def test_values_come_from_the_node_that_runs(pair: Pair) -> None:
    alpha, beta = pair.alpha, pair.beta
    with alpha.config.open("a") as file:
        keys = {"strict_delete": True, "max_deletes": 1, "watch": False, "period_s": 600}
        file.write(table("[sync]", keys))
    pair.start()
    for text in ("blue", "green", "red"):
        (alpha.folder / "settings").write_text(text)
        (alpha.folder / text).touch()
        assert alpha.sbs("sync").returncode == 0
    found = propose(f"sbs restore {beta.folder}/settings -c {beta.config} --generation ")
    assert len(found) == 2
    assert found == sorted(found, key=int, reverse=True)
    assert propose(f"sbs history -c {beta.config} --folder ") == ["data"]
    for path in list(alpha.folder.iterdir()):
        path.unlink()
    assert alpha.sbs("sync").returncode == 4
    held = alpha.status()["held"]["id"]
    assert propose(f"sbs sync -c {alpha.config} --accept ") == [held]
    assert propose(f"sbs sync -c {beta.config} --accept ") == []


# A name is of whoever wrote the file: on the command line it is nothing but a name.

HOSTILE = [
    *("$(touch done)", "`touch done`", "$HOME", "a;touch done", "a|b", "a&b", "a>b", "a b"),
    *("a'b", 'a"b', "a\\b", "*", "a?", "[a]", "{a,b}", "(a)", "@(a)", "~", "!!", "#a", "a,b", "-x"),
]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sbs status -c ", ["<file>"]),  # the shell's own, which it quotes
        ("sbs unit stop -c etc/h.toml ", ["web", "printer@1.service"]),
        ("sbs history -c etc/h.toml --folder ", ["web", "printer@1.service"]),
    ],
)
def test_what_a_shell_would_obey_is_not_proposed(
    line: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bash and PowerShell put a proposal on the line as it is; Enter would run it."""
    monkeypatch.chdir(tmp_path)
    for name in HOSTILE:
        (tmp_path / f"{name}.toml").touch()
    (tmp_path / "etc").mkdir()
    text = table("[node]", {"state_dir": "state"})
    for name in ("web", *HOSTILE, "printer@1.service"):
        text += table("[[services.unit]]", {"name": name})
        text += table("[[folders]]", {"name": name, "path": "/srv"})
    (tmp_path / "etc" / "h.toml").write_text(text)
    assert propose(line) == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_what_explains_a_name_is_one_line(shell: str, tmp_path: Path) -> None:
    """zsh and PowerShell take the next line for another proposal, and a terminal obeys it."""
    config = tmp_path / "h.toml"
    path = "/srv\nplain\n$(touch done)\n\x1b[2J"
    config.write_text(
        table("[node]", {"state_dir": "state"})
        + table("[[folders]]", {"name": "web", "path": path})
    )
    line = f"sbs history -c {config} --folder "
    env = {"COMP_WORDS": line, "COMP_CWORD": "" if shell == "fish" else "5"}
    said = _shell([*SBS], tmp_path, **env, **{VARIABLE: f"{shell}_complete"})
    assert said.stderr == ""
    assert "\x1b" not in said.stdout
    assert len(said.stdout.splitlines()) == (1 if shell in ("bash", "fish") else 3)


# Nothing holds up who types.


@contextmanager
def silent_node(state_dir: Path) -> Iterator[None]:
    """A control socket whose owner takes calls and never answers."""
    state_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(state_dir / "control.sock"))
        listener.listen()
        yield


def test_a_node_that_does_not_answer_is_not_waited_for(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completing, "ANSWER_S", 0.05)
    with silent_node(config.parent / "state"):
        assert propose("sbs unit start -c alpha.toml ") == ["web", "printer-1"]
        assert propose("sbs sync -c alpha.toml --accept ") == []


def test_a_file_that_never_ends_is_not_waited_for(config: Path) -> None:
    os.mkfifo(config.parent / "pipe.toml")
    env = {"COMP_WORDS": "sbs unit start -c pipe.toml ", "COMP_CWORD": "5"}
    said = _shell([*SBS], config.parent, **env, **{VARIABLE: "bash_complete"})
    assert (said.stdout.strip(), said.stderr) == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        "[node",
        "services = 3",
        "[[services.unit]]\nname = 5",
        '[[services.unit]]\nname = "a\\u001b[2J"',
        "[services]\nunit = [1, 2]",
        'folders = "x"',
        "\0",
    ],
)
@pytest.mark.parametrize(
    "rest", ["unit stop -c {} ", "history -c {} --folder ", "sync -c {} --accept "]
)
def test_a_broken_file_proposes_nothing_and_says_nothing(
    rest: str, text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(text)
    assert propose(f"sbs {rest.format(path)}") == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("", "0"),
        ("sbs", "9"),
        ("sbs 'unfinished", "1"),
        ("sbs dance ", "2"),
        ("sbs -cfg ", "2"),
        ("sbs restore --generation many ", "4"),
        ("sbs probe a:b:c ", "3"),
        ("sbs unit stop web extra ", "5"),
        ("sbs status -- -", "3"),
        ("sbs sync --accept=", "2"),
        ("sbs \\", "1"),
    ],
)
def test_whatever_is_typed_ends_without_a_word_of_error(
    words: str, place: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_WORDS", words)
    for shell in SHELLS:
        monkeypatch.setenv(VARIABLE, f"{shell}_complete")
        monkeypatch.setenv("COMP_CWORD", words[-1:].strip() if shell == "fish" else place)
        with pytest.raises(SystemExit) as ended:
            main(prog_name="sbs", complete_var=VARIABLE)
        assert ended.value.code == 0
    assert capfd.readouterr().err == ""


def test_names_are_proposed_without_what_only_nodes_need(tmp_path: Path) -> None:
    """It is run at each press of a key: neither trio nor cryptography nor sbs.config."""
    code = (
        "import sys\n"
        "from click.shell_completion import BashComplete\n"
        "from sbs.cli import main\n"
        "for words in ([], ['unit'], ['sync', '-'], ['unit', 'stop', '-c', sys.argv[1]]):\n"
        "    typed = words.pop() if words[-1:] == ['-'] else ''\n"
        "    assert BashComplete(main, {}, 'sbs', 'X').get_completions(words, typed)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
        "print(*sorted(name for name in sys.modules if name.startswith('sbs.')))\n"
    )
    config = tmp_path / "a.toml"
    unit = table("[[services.unit]]", {"name": "web"})
    config.write_text(table("[node]", {"state_dir": "state"}) + unit)
    said = _shell([sys.executable, "-c", code, str(config)], ROOT)
    packages, modules = (set(line.split()) for line in said.stdout.splitlines())
    assert not packages & {"trio", "cryptography", "cattrs", "msgpack", "blake3", "ssl"}
    assert "sbs.config" not in modules
