"""FFmpeg opens no socket but for a live source that was asked for.

Python's audit hook does not see what FFmpeg does: the process's own descriptors are looked at.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.clips import RECIPES, make_clip
from tests.helpers.live_senders import free_port

PROJECT = Path(__file__).resolve().parents[2]

WATCHED = """
import os, sys, time
from app.video.live.devices import list_devices
from app.video.live.capture import Capture
from app.video.record.recorder import Recorder
from pathlib import Path

def sockets():
    links = []
    for one in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{one}"))
        except OSError:
            pass
    return [link for link in links if link.startswith("socket:")]

before = sockets()
list_devices()
seen = []
recorder = Recorder(Path(sys.argv[2]))
capture = Capture(
    sys.argv[1], on_frame=lambda f: seen.append(len(sockets())), on_packet=recorder.put,
    open_timeout_s=1.0,
)
capture.start()
until = time.monotonic() + 30
found = 0
while time.monotonic() < until and not found:
    found = max(found, len(sockets()) - len(before))
    if len(seen) > 20:
        break
    time.sleep(0.01)
capture.close()
recorder.stop()
print(found, max(seen, default=0) - len(before))
"""


def watched(*arguments: object) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *map(str, arguments)],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are seen on Linux only")
def test_a_file_that_plays_as_if_live_opens_none(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.ts", RECIPES["h264-ts"])
    assert watched(f"file:{clip}", tmp_path / "a.ts") == ["0", "0"]
    # The watch does see one where a source was asked for.
    assert watched(f"udp://127.0.0.1:{free_port()}", tmp_path / "b.ts")[0] == "1"
