"""How the live source ends when the window closes: before everything else, and not on its thread.

A disk may take its time with the end of a recording; the window goes on painting meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from PySide6.QtCore import QEventLoop, QTimer

log = logging.getLogger(__name__)

_LOOK_EVERY_MS = 10


def end_in_order(*ends: Callable[[], object]) -> None:
    """Do one after the other on ``trocar-live-closing``; a window that closes is painted meanwhile.

    Nothing raises here: the others are ended too, and what failed is in the log.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="trocar-live-closing") as pool:
        steps = [pool.submit(end) for end in ends]
        loop, tick = QEventLoop(), QTimer()
        tick.timeout.connect(lambda: loop.quit() if steps[-1].done() else None)
        tick.start(_LOOK_EVERY_MS)
        if not steps[-1].done():
            loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
        tick.stop()
    for step in steps:
        error = step.exception()
        if error is not None:
            log.info("the end of a live session: %s", type(error).__name__)
