"""Players and readers that the engine is measured beside, where they are installed.

Each answers milliseconds of wall time for one act. mpv is steered through its JSON socket, without
a display; it decodes but does not turn pictures into RGB, as its video output would.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, Self

import cv2
import numpy as np

from app.video.file_source import FileSource
from tests.helpers.clips import number_of

_PATIENCE_S = 60.0
_MPV = (
    "mpv", "--idle", "--no-config", "--vo=null", "--ao=null", "--hr-seek=yes", "--pause",
    "--keep-open=always", "--no-terminal", "--load-scripts=no", "--ytdl=no",
)  # fmt: skip


class Reader(Protocol):
    """What a reader can do.

    Attributes:
        name: of the reader.
        wrong: how many frames it answered that were not the one asked for.
        used_ms: processor time of its last seek, without looking whether the frame was right.
    """

    name: str
    wrong: int
    used_ms: float

    def open(self, path: Path) -> float:
        """To the first frame."""

    def seek(self, index: int, rate: float) -> float:
        """To a frame, exactly."""

    def step_back(self, index: int, rate: float) -> float:
        """To the frame before the one it stands on; returns milliseconds."""

    def close(self) -> None:
        """Release the file."""


class _InProcess:
    """A reader in this process, whose frames are looked at after its times were taken."""

    name = ""

    def __init__(self) -> None:
        self.wrong, self.used_ms = 0, 0.0

    def open(self, path: Path) -> float:
        """To the first frame."""
        start_s = time.perf_counter()
        self._open(path)
        return self._timed(start_s, 0)

    def seek(self, index: int, rate: float) -> float:
        """By frame number."""
        del rate
        return self._timed(time.perf_counter(), index)

    def step_back(self, index: int, rate: float) -> float:
        """By frame number."""
        return self.seek(index - 1, rate)

    def _timed(self, start_s: float, index: int) -> float:
        began_s = time.process_time()
        picture = self._read(index)
        self.used_ms = 1000 * (time.process_time() - began_s)
        ms = 1000 * (time.perf_counter() - start_s)
        self.wrong += picture is None or not _is(picture, index)
        return ms

    def _open(self, path: Path) -> None:
        raise NotImplementedError

    def _read(self, index: int) -> np.ndarray | None:
        raise NotImplementedError


class Ours(_InProcess):
    """The engine itself, beside the others."""

    name = "ours"
    _source: FileSource

    def _open(self, path: Path) -> None:
        self._source = FileSource(path)

    def _read(self, index: int) -> np.ndarray:
        return self._source.frame(index).rgb

    def close(self) -> None:
        """Release the file."""
        self._source.close()


class Mpv:
    """mpv in a process of its own."""

    name = "mpv"

    def __init__(self) -> None:
        self.wrong, self.used_ms = 0, 0.0
        self._folder = tempfile.mkdtemp(prefix="trocar-mpv-")
        place = f"{self._folder}/socket"
        self._process = subprocess.Popen(
            [*_MPV, f"--input-ipc-server={place}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_PATIENCE_S)
        until_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._socket.connect(place)
                break
            except OSError:
                if time.monotonic() > until_s or self._process.poll() is not None:
                    raise
                time.sleep(0.01)
        self._rest = b""

    @classmethod
    def where_installed(cls, until: ExitStack) -> Self | None:
        """mpv, ended with ``until``; None where it is not installed."""
        if shutil.which("mpv") is None:
            return None
        made = cls()
        until.callback(made.close)
        return made

    def open(self, path: Path) -> float:
        """To the first frame, in a player that runs already."""
        return self._timed("loadfile", str(path))

    def seek(self, index: int, rate: float) -> float:
        """To a frame, exactly: its middle is asked for."""
        began_ms = self.cpu_ms()
        ms = self._timed("seek", (index + 0.5) / rate - 0.5 / rate, "absolute+exact")
        self.used_ms = self.cpu_ms() - began_ms
        self.wrong += abs(self.get("time-pos") * rate - index) > 0.5
        return ms

    def to_keyframe(self, index: int, rate: float) -> float:
        """To whatever picture it shows first on the way to a frame."""
        return self._timed("seek", index / rate, "absolute+keyframes")

    def step_back(self, index: int, rate: float) -> float:
        """One frame back."""
        ms = self._timed("frame-back-step")
        self.wrong += abs(self.get("time-pos") * rate - (index - 1)) > 0.5
        return ms

    def play_as_rgb(self, path: Path, seconds: float, rate: float) -> tuple[float, int]:
        """Play from the start, every picture turned into RGB; leaves the conversion on.

        Returns:
            Processor time for a second's worth of shown frames, in milliseconds; how many it left
            out as late.
        """
        self.ask("vf", "set", "format=rgb24")
        self.open(path)
        began_ms = self.cpu_ms()
        self.ask("set_property", "pause", False)
        time.sleep(seconds)
        self.ask("set_property", "pause", True)
        used_ms = self.cpu_ms() - began_ms
        dropped = self.get("frame-drop-count") + self.get("decoder-frame-drop-count")
        shown = self.get("time-pos") * rate - dropped
        return used_ms / max(1.0, shown) * rate, dropped

    def get(self, what: str) -> Any:
        """A property."""
        return self.ask("get_property", what)

    def ask(self, *command: Any) -> Any:
        """Give a command and wait for its answer."""
        self._send(command)
        while "error" not in (said := self._next()):
            pass
        return said.get("data")

    def cpu_ms(self) -> float:
        """Processor time that it has used (Linux)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self._process.terminate()
        self._process.wait(_PATIENCE_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _timed(self, *command: Any) -> float:
        start_s = time.perf_counter()
        self._send(command)
        while self._next().get("event") != "playback-restart":
            pass
        return 1000 * (time.perf_counter() - start_s)

    def _send(self, command: Any) -> None:
        self._socket.sendall(json.dumps({"command": list(command)}).encode() + b"\n")

    def _next(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            self._rest += self._socket.recv(65536)
        line, _, self._rest = self._rest.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said


class OpenCV(_InProcess):
    """``cv2.VideoCapture``; never on a user's path, here beside ours."""

    name = "OpenCV"

    def __init__(self) -> None:
        super().__init__()
        self._capture = cv2.VideoCapture()

    def _open(self, path: Path) -> None:
        self._capture.open(str(path))

    def _read(self, index: int) -> np.ndarray | None:
        if index:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        good, picture = self._capture.read()
        return picture if good else None

    def close(self) -> None:
        """Release the file."""
        self._capture.release()


class Decord(_InProcess):
    """decord's ``VideoReader``."""

    name = "decord"
    _reader: Any

    def _open(self, path: Path) -> None:
        import decord

        self._reader = decord.VideoReader(str(path))

    def _read(self, index: int) -> np.ndarray:
        return self._reader[index].asnumpy()

    def close(self) -> None:
        """Release the file."""
        self._reader = None


def _is(picture: np.ndarray, index: int) -> bool:
    try:
        return number_of(picture) == index
    except ValueError:
        return False


def installed() -> list[Reader]:
    """The peers of this machine."""
    found: list[Reader] = []
    if shutil.which("mpv"):
        found.append(Mpv())
    found.append(OpenCV())
    if find_spec("decord"):
        found.append(Decord())
    return found


def versions() -> dict[str, str]:
    """What is installed, in what version."""
    found = {"OpenCV": cv2.__version__}
    if shutil.which("mpv"):
        said = subprocess.run(["mpv", "--version"], capture_output=True, text=True, check=True)
        found["mpv"] = said.stdout.split()[1]
    if find_spec("decord"):
        import decord

        found["decord"] = decord.__version__
    return found
