"""Measures the real window from inside, in a process of its own; prints one JSON object.

Arguments: what to measure (``start``, ``overlay``, ``lateness``, ``busy``), the library's folder,
the clip or ``-``, the parent's wall clock when it started this process, seconds to watch.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

TICK_MS = 5
GIVE_UP_S = 240.0


def main() -> None:
    """Run one measurement."""
    what, folder, clip, started, seconds = sys.argv[1:6]
    from PySide6.QtCore import QEventLoop, QTimer

    from app.store import Library
    from app.ui.application import make_application, open_window
    from app.ui.settings import Settings

    make_application()
    settings = Settings()
    settings.set(analyse_at_once=False)
    library = Library.open(Path(folder), ballast_bytes=0)
    files = [] if clip == "-" else [Path(clip)]
    window = open_window(library, settings, files)
    window.resize(1920, 1200)
    overlays = []
    window.services.overlay.ready.connect(
        lambda made: overlays.append(time.time()) if made.raster is not None else None
    )
    window.show()
    loop = QEventLoop()

    def wait(until: float) -> None:
        QTimer.singleShot(max(0, round(1000 * until)), loop.quit)
        loop.exec()

    wait(0)
    found: dict[str, object] = {
        "window_s": time.time() - float(started),
        "torch_imported": "torch" in sys.modules,
    }
    deadline = time.monotonic() + GIVE_UP_S
    if what == "overlay":
        while not overlays and time.monotonic() < deadline:
            wait(0.005)
        found["overlay_s"] = overlays[0] - float(started) if overlays else None
    if what in ("lateness", "busy"):
        player = window.services.player
        while player.state.shown < 5 and time.monotonic() < deadline:
            wait(0.02)
        if what == "busy":
            window.services.analysis.start()
            while not window.services.analysis.ms_per_frame and time.monotonic() < deadline:
                wait(0.05)
        player.player.seek_index(0)
        player.player.play()
        wait(0.3)
        shown = player.state.shown
        found |= watch(wait, float(seconds))
        found["frames_shown"] = player.state.shown - shown
        found["analysing"] = bool(window.services.analysis.running)
    window.close()
    wait(0)
    sys.stdout.write(json.dumps(found) + "\n")


def watch(wait, seconds: float) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """How late a 5 ms timer of the GUI thread fires."""
    from PySide6.QtCore import Qt, QTimer

    late_ms: list[float] = []
    last = [time.perf_counter()]

    def tick() -> None:
        now = time.perf_counter()
        late_ms.append(max(0.0, 1000 * (now - last[0]) - TICK_MS))
        last[0] = now

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start(TICK_MS)
    wait(seconds)
    timer.stop()
    late_ms.sort()
    return {
        "late_p50_ms": late_ms[len(late_ms) // 2],
        "late_p99_ms": late_ms[int(len(late_ms) * 0.99)],
        "late_max_ms": late_ms[-1],
    }


if __name__ == "__main__":
    main()
