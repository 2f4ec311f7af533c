"""No command and no start of the window opens a socket: a process of its own is watched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.clips import RECIPES, make_clip

PROJECT = Path(__file__).resolve().parents[2]

WATCHED = """
import sys
seen = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"):
        seen.append((event, str(arguments)))
sys.addaudithook(watch)
"""

COMMAND = """
from app.cli.main import run
status = run(sys.argv[1:])
assert not seen, seen
sys.exit(status)
"""

WINDOW = """
from pathlib import Path
import time
from app.store import Library
from app.ui.application import make_application, open_window
from app.ui.settings import Settings
application = make_application()
library = Library.open(Path(sys.argv[1]), ballast_bytes=4096)
window = open_window(library, Settings(), [Path(sys.argv[2])])
window.show()
end = time.monotonic() + 90
while time.monotonic() < end:
    application.processEvents()
    frame = window.services.session.frame
    if frame is not None and frame.index > 3:
        break
else:
    raise SystemExit("nothing played")
window.close()
application.processEvents()
assert not seen, seen
"""


def watched(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WATCHED + code, *arguments],
        cwd=PROJECT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", RECIPES["h264-mp4"])


def test_the_watch_sees_a_socket() -> None:
    code = "import socket; socket.socket().bind(('127.0.0.1', 0)); assert seen"
    assert watched(code).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["models", "list"],
        ["analyze", "CLIP", "--every", "20", "--library", "LIBRARY"],
        ["doctor", "--library", "LIBRARY"],
    ],
    ids=["help", "models", "analyze", "doctor"],
)
def test_commands(clip: Path, own_library: Path, arguments: list[str]) -> None:
    given = [a.replace("CLIP", str(clip)).replace("LIBRARY", str(own_library)) for a in arguments]
    done = watched(COMMAND, *given)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_window(clip: Path, own_library: Path) -> None:
    done = watched(WINDOW, str(own_library), str(clip))
    assert done.returncode == 0, done.stderr[-2000:]
