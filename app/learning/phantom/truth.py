"""What is true in a phantom video, as one JSON file beside it. Pure functions and one collector."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from app.learning.phantom.stills import TOOLS, PhantomInstance
from app.learning.phantom.video import PhantomFrame


class TruthWriter:
    """Collects phases, presence and one frame's masks a second while frames pass by."""

    def __init__(self, fps: float, size_px: tuple[int, int], seed: int) -> None:
        self._head = {"seed": seed, "fps": fps, "width": size_px[0], "height": size_px[1]}
        self._phases: list[dict] = []
        self._seconds: list[dict] = []
        self._frames = 0

    def watch(self, frames: Iterable[PhantomFrame]) -> Iterator[PhantomFrame]:
        """Pass the frames on and keep what is true of them."""
        every = max(round(self._head["fps"]), 1)
        for frame in frames:
            self._phase(frame)
            if frame.index % every == 0:
                self._second(frame)
            self._frames += 1
            yield frame

    def _phase(self, frame: PhantomFrame) -> None:
        if not self._phases or self._phases[-1]["phase"] != frame.phase:
            self._phases.append({"phase": frame.phase, "first_frame": frame.index})
        self._phases[-1]["last_frame"] = frame.index

    def _second(self, frame: PhantomFrame) -> None:
        self._seconds.append(
            {
                "frame": frame.index,
                "phase": frame.phase,
                "out_of_body": frame.away,
                "presence": [t for t, shows in zip(TOOLS, frame.presence, strict=True) if shows],
                "instances": [_instance(i) for i in frame.instances],
            }
        )

    def write(self, folder: Path) -> Path:
        """Write `truth.json` into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "truth.json"
        data = {**self._head, "frames": self._frames, "tools": TOOLS, "phases": self._phases}
        lines = ",\n".join(json.dumps(s, separators=(",", ":")) for s in self._seconds)
        head = json.dumps(data)[:-1]
        path.write_text(f'{head}, "seconds": [\n{lines}\n]}}\n', encoding="utf-8")
        return path


def _instance(instance: PhantomInstance) -> dict:
    from pycocotools import mask as coco

    run_lengths = coco.encode(np.asfortranarray(instance.mask.astype(np.uint8)))
    return {
        "key": instance.key,
        "track": instance.track,
        "rle": {"size": run_lengths["size"], "counts": run_lengths["counts"].decode("ascii")},
    }
