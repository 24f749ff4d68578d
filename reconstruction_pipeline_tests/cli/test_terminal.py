"""What progress looks like on a terminal and in a file."""

from __future__ import annotations

import os
import pty
import re
import sys
import threading
import time
from pathlib import Path

import pytest

from reconstruction_pipeline.cli.terminal import TerminalProgress

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+")


def screen(written: str) -> list[str]:
    """The lines that a terminal shows after these characters (the few controls that progress bars use)."""
    lines, row, column = [""], 0, 0
    for token in CONTROL.findall(written):
        if token == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif token == "\r":
            column = 0
        elif token.endswith("A") and token.startswith("\x1b["):
            row -= int(token[2:-1] or 1)
        elif token.endswith("K") and token.startswith("\x1b["):
            lines[row] = ""
        elif not token.startswith("\x1b"):
            before = lines[row][:column].ljust(column)
            lines[row] = before + token + lines[row][column + len(token) :]
            column += len(token)
    return [line.rstrip() for line in lines if line.strip()]


class Terminal:
    """A pseudo terminal as standard error, 90 characters wide."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._main, side = pty.openpty()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "90")
        monkeypatch.setattr(sys, "stderr", os.fdopen(side, "w"))
        self._written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._main, 65536)
            except OSError:
                return
            self._written += chunk

    def lines(self) -> list[str]:
        sys.stderr.flush()
        time.sleep(0.2)
        return screen(self._written.decode())


def test_bars_of_finished_parts_stay_and_nothing_is_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    with TerminalProgress() as progress:
        progress.say("walk: reconstructing walk.mp4")
        for done in range(5):
            progress.report("keyframes", done, 4, f"frame {done}")
            time.sleep(0.06)
        progress.report("waiting", 0, 0, "for a place")
        time.sleep(0.3)
        assert any("waiting" in line and "for a place" in line and "%" not in line for line in terminal.lines())
        progress.report("camera_poses", 6, 7, "mapping")  # a part may end without saying so
        for done in range(3):
            progress.report("training", done, 4, "x" * 200)
            time.sleep(0.3)
            progress.say(f"note {done}")
    lines = terminal.lines()
    assert lines[:4] == ["walk: reconstructing walk.mp4", "note 0", "note 1", "note 2"]
    bars = lines[4:]
    assert [line[2:].split()[0] for line in bars] == ["keyframes", "waiting", "camera_poses", "training"]
    assert "100 %" in bars[0] and "left" not in bars[0]
    assert "86 %" in bars[2]
    assert "50 %" in bars[3] and "left" in bars[3]
    assert all(len(line) <= 90 for line in lines)


def log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as standard error."""
    path = tmp_path / "log.txt"
    monkeypatch.setattr(sys, "stderr", path.open("w"))
    return path


def test_plain_lines_begin_end_and_stay_rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_file(tmp_path, monkeypatch)
    with TerminalProgress() as progress:
        progress.say("walk: reconstructing walk.mp4")
        for done in range(101):
            progress.report("keyframes", done, 100, f"frame {done}")
        progress.report("keyframes", 100, 100, "again")
        for _ in range(5):
            progress.report("waiting", 0, 0, "for a place")
        progress.report("decoding", 7, 0)
    assert log.read_text().splitlines() == [
        "walk: reconstructing walk.mp4",
        "keyframes:   0 % frame 0",
        "keyframes: 100 % frame 100",
        "waiting: for a place",
        "decoding: 7",
    ]


def test_a_long_part_is_heard_of_every_15_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_file(tmp_path, monkeypatch)
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with TerminalProgress() as progress:
        for second in range(0, 46, 5):
            now[0] = float(second)
            progress.report("training", second, 100)
    assert log.read_text().splitlines() == [f"training: {share:3d} %" for share in (0, 15, 30, 45)]
