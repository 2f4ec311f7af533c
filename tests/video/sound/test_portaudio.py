"""The real PortAudio over ALSA into a PulseAudio server without a loudspeaker, in a child process.

What the server hears is recorded: the beeps come, whole seconds apart; the server goes, and a
sentence says so.
"""

from __future__ import annotations

import ctypes.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.sound import RATE_HZ, beeping_clip, onsets_s

PATIENCE_S = 60.0
TOOLS = ("pulseaudio", "parec", "pactl")
CHILD = """
import json, sys, threading
from pathlib import Path
from app.video.clock import PlaybackClock
from app.video.sound.playing import Sound
from tests.helpers.sound import asset_at

gone = threading.Event()
told = []

def problem(error):
    told.append(error.user_message)
    gone.set()

clock = PlaybackClock()
sound = Sound(clock, on_problem=problem)
sound.load(asset_at(Path(sys.argv[1])))
sound.set_muted(False)
clock.start(300.0)
gone.wait(60)
print(json.dumps({"told": told, "muted": sound.is_muted}), flush=True)
sound.close()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """A PulseAudio server of this test's own, and the environment that leads to it."""
    missing = [t for t in TOOLS if shutil.which(t) is None]
    if ctypes.util.find_library("portaudio") is None:
        missing.append("libportaudio2")
    plugin = Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")
    if next(plugin, None) is None:
        missing.append("libasound2-plugins")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    socket = tmp_path / "native"
    (tmp_path / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }")
    env = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "PULSE_SERVER": f"unix:{socket}",
    }
    command = [
        "pulseaudio", "-n", "--exit-idle-time=-1", "--daemonize=no", "--use-pid-file=no",
        "-L", f"module-null-sink sink_name=nul rate={RATE_HZ}",
        "-L", f"module-native-protocol-unix socket={socket} auth-anonymous=1",
    ]  # fmt: skip
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    try:
        until_s = time.monotonic() + PATIENCE_S
        while subprocess.run(["pactl", "info"], env=env, capture_output=True).returncode:
            assert process.poll() is None
            assert time.monotonic() < until_s
            time.sleep(0.05)
        yield process, env
    finally:
        process.kill()
        process.wait(PATIENCE_S)


def test_a_real_device_plays_and_its_loss_is_told(
    server: tuple[subprocess.Popen[bytes], dict[str, str]], tmp_path: Path
) -> None:
    process, env = server
    clip = beeping_clip(tmp_path / "beeps.mp4", 12.0)
    parec = [
        "parec", "-d", "nul.monitor", f"--rate={RATE_HZ}", "--channels=2", "--format=float32le",
        "--latency-msec=20",
    ]  # fmt: skip
    listener = subprocess.Popen(parec, env=env, stdout=subprocess.PIPE)
    player = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(clip)],
        env={**env, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert listener.stdout is not None
    heard = b""
    try:
        until_s = time.monotonic() + PATIENCE_S
        while len(beeps := _beeps_s(heard)) < 3:
            assert time.monotonic() < until_s, beeps
            assert player.poll() is None
            heard += listener.stdout.read1(1 << 16)
        process.kill()
        said, _ = player.communicate(timeout=PATIENCE_S)
    finally:
        for one in (listener, player):
            one.kill()
            one.wait(PATIENCE_S)
            if one.stdout is not None:
                one.stdout.close()
    # A busy machine may leave one out; those that come keep to the clock.
    apart_s = np.diff(beeps)
    assert np.abs(apart_s - apart_s.round()).max() < 0.25
    end = json.loads(said)
    assert end["muted"]
    assert "Sound cannot be played" in end["told"][0]


def _beeps_s(heard: bytes) -> np.ndarray:
    samples = np.frombuffer(heard[: len(heard) // 8 * 8], np.float32).reshape(-1, 2)
    return onsets_s(samples)
