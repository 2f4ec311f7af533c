"""Watches a live source in the real window, in a process of its own; prints one JSON object.

Arguments: the library's folder, the source, seconds to watch after the first picture.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

SETTLE_S, GIVE_UP_S = 4.0, 120.0


def main() -> None:
    """Run one measurement."""
    folder, source, seconds = sys.argv[1:4]
    from PySide6.QtCore import QEventLoop, QTimer

    from app.store import Library
    from app.ui.application import make_application, open_window
    from app.ui.settings import Settings
    from tests.benchmarks.window_probe import watch
    from tests.helpers.painted import Painted

    make_application()
    painted = Painted()
    settings = Settings(Path(folder) / "config")
    settings.set(analyse_at_once=False, procedure="cholecystectomy")
    window = open_window(Library.open(Path(folder), ballast_bytes=0), settings, [])
    window.resize(1680, 1050)
    window.show()
    loop = QEventLoop()

    def wait(until: float) -> None:
        QTimer.singleShot(max(0, round(1000 * until)), loop.quit)
        loop.exec()

    window.show_workspace("live")
    control, page = window.live_control, window.live
    assert control is not None
    assert page is not None
    page.chooser.chosen.emit(source)
    deadline = time.monotonic() + GIVE_UP_S
    while control.session is None and time.monotonic() < deadline:
        wait(0.02)
    sys.stdout.write("watching\n")
    sys.stdout.flush()
    while control.screen.shown is None and time.monotonic() < deadline:
        wait(0.05)
    wait(SETTLE_S)
    began_s = time.monotonic()
    found: dict[str, object] = dict(watch(wait, float(seconds)))
    pace, state = control.screen.pace, control.session.state if control.session else None
    found |= {
        "painted": {n: s for n, s in painted.first_s().items() if s >= began_s},
        "outline_age_ms": pace.age_ms,
        "outlines_help": pace.helps,
        "dropped": state.dropped if state else None,
    }
    painted.close()
    window.close()
    wait(0)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
