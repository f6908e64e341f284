"""The fencer of units: ends them when SBS is dead, or when their time has passed (B3, B31).

Run as a script, never imported by SBS; standard library only. ``survivor.py`` has what all fencers
share, and ``../fencer.py`` the messages: of those this one knows ``guard`` and ``bequeath``, and
answers each with ``done`` when it is carried out; ``expired`` says that their time has passed.

Units belong to PID 1, so this process asks it, through ``systemctl``. First it takes the permits
back: without its permit a unit cannot be started, neither by ``Restart=`` nor by anybody. It lives
in a scope of its own, to which the units are bound: should it be killed, PID 1 stops them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING or __package__:
    from sbs.adapters.services.keeper import boottime, report
    from sbs.adapters.services.survivor import Survivor, numbers, outlive, prepare
else:
    # As a script it belongs to no package. All is loaded now: an upgrade may replace the files.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from keeper import boottime, report
    from survivor import Survivor, numbers, outlive, prepare

LOOK_S = 0.05
"""How often the time is looked at while units stop."""

AGAIN_S = 0.5
"""How long after a kill something new in a unit, such as its ExecStopPost=, may take."""

ANSWER_S = 5.0
"""How long PID 1 may take to answer before it is asked again; it answers within milliseconds."""

GONE = frozenset({"inactive", "failed"})
"""States of a unit of which nothing runs."""


class UnitFencer(Survivor):
    """Stops units.

    Args:
        channel: to SBS.
        systemctl: the program.
        permits: the directory where a unit's permit has the unit's name.
        units: full names.
    """

    def __init__(self, channel: int, systemctl: str, permits: str, units: list[str]) -> None:
        super().__init__(channel)
        self.systemctl = systemctl
        self.permits = permits
        self.units = units
        self.serial: int = 0

    def obey(self) -> bool:
        """Carry out one message, and say so: what SBS does next may rest on it."""
        if not super().obey():
            return False
        self.serial += 1
        report(self.channel, "done", self.serial)
        return True

    def stop_all(self, left_s: float) -> None:
        """Their time has passed."""
        report(self.channel, "expired", 0)
        self.stop_units(left_s)

    def end(self) -> None:
        """Kill every unit; return when PID 1 says that none is left."""
        self.stop_units(0.0)

    def stop_units(self, left_s: float) -> None:
        """Stop every unit; return when PID 1 says that none is left, however long that takes."""
        kill_at = boottime() + left_s
        for unit in self.units:
            try:
                os.unlink(os.path.join(self.permits, unit))
            except FileNotFoundError:
                continue
        while self.units:
            kill_at = self.stop_once(kill_at)
            # Some units leave processes behind when they stop (KillMode=process).
            self.ask("kill", "--signal=SIGKILL")
            if self.gone():
                return
            time.sleep(LOOK_S)

    def stop_once(self, kill_at: float) -> float:
        """One stop job for each unit, killed when it is time; return when to kill again."""
        stop = subprocess.Popen(  # noqa: S603 - "--", then configured names
            [self.systemctl, "stop", "--", *self.units],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while stop.poll() is None:
            if boottime() >= kill_at:
                self.ask("kill", "--signal=SIGKILL")
                kill_at = boottime() + AGAIN_S
            try:
                stop.wait(max(0.0, min(LOOK_S, kill_at - boottime())))
            except subprocess.TimeoutExpired:
                continue
        return kill_at

    def ask(self, *words: str) -> str | None:
        """Ask PID 1 about all units; nothing if it refuses or does not answer."""
        try:
            done = subprocess.run(  # noqa: S603 - "--", then configured names
                [self.systemctl, *words, "--", *self.units],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=ANSWER_S,
                check=True,
            )
        except (subprocess.SubprocessError, OSError):
            return None
        return done.stdout.decode(errors="replace")

    def gone(self) -> bool:
        """Whether nothing of any unit is left."""
        shown = self.ask("show", "--property=ActiveState", "--value")
        return shown is not None and GONE.issuperset(shown.split())


def main(channel: int, parent_pid: int, held_fds: list[int], words: list[str]) -> None:
    """Serve until SBS is gone; ``words`` are systemctl, the permits' directory, and the units."""
    systemctl, permits, *units = words
    prepare(channel, held_fds)
    outlive(UnitFencer(channel, systemctl, permits, units), parent_pid, held_fds)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), numbers(sys.argv[3]), sys.argv[4:])
