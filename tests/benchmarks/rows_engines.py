"""Engines: each against PyTorch eager and against ultralytics, one thread, in one run.

The network is YOLOv8n-seg's own layout (LMSF-A with its three switches off), so that both sides
compute the same; its weights are random, with norms that fit real pictures. LMSF-A with the demo's
weights stands beside it.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch

import models
from app.core.errors import EnvironmentProblem
from app.inference import AnalysisJob
from app.inference.engines import choice
from app.inference.engines.eager import Eager, Engine
from app.inference.engines.examining import load, stills
from app.inference.engines.guard import Difference
from app.inference.engines.kinds import EAGER, KINDS
from app.inference.engines.ladder import Ladder, Rung, write
from app.inference.preprocess import fit_frame, letterbox
from app.store import Library
from app.video import describe_asset
from models.card import ModelCard, ModelClass
from tests.benchmarks import material, peer
from tests.benchmarks.measure import Row, Times, interleaved, row_of

SIZES_PX = ((640, 384), (640, 640))
OURS = "ours"
_WARM_FRAMES = 3
_IN_FILES = (EAGER, "openvino-bf16", "openvino-int8")
_SAME_LAYOUT = {"num_classes": 1, "c2f_pro": False, "neck": False, "lmsh": False}


def engines(rounds: int) -> list[Row]:
    """The forward pass through every engine that is here, and a 1080p frame to raw output."""
    rows: list[Row] = []
    with _own_cache() as folder:
        for card in (same_layout(folder / "models"), _demo()):
            for size in SIZES_PX:
                if card is not None:
                    rows += _forward(card, size, rounds)
        rows += _frame_to_raw(same_layout(folder / "models"), rounds)
    return rows


def engine_file(rounds: int) -> list[Row]:
    """A 1080p H.264 file to masks in the store, through the engines that matter on a processor."""
    frames = max(8, 4 * rounds)
    ours: dict[str, tuple[float, Any]] = {}
    with _own_cache() as folder:
        card = same_layout(folder / "models")
        clip = material.make_clip(folder / "clip.mp4", frames)
        loaded, _ = _loaded(card, SIZES_PX[0])
        for key in loaded.keys() & set(_IN_FILES):
            with _trusted(card, key):
                ours[key] = _our_file(folder / key, clip, card, key)
        why = peer.why_not()
        theirs = {} if why else {
            f"{peer.NAME}, {words} masks": _peer_file(clip, full=full)
            for full, words in ((True, "full-resolution"), (False, "640-pixel"))
        }  # fmt: skip
    theirs[f"PyTorch eager, {OURS}"] = ours[EAGER][0]
    rows = []
    for key in _IN_FILES:
        for name, cpu_s in theirs.items():
            if key in ours and not (key == EAGER and OURS in name):
                each = ours[key][1].instances / frames
                note = (
                    f"{frames} frames of 1080p, {each:.0f} instances each, one thread, ours into "
                    "SQLite with tracks; peer predict(stream), COCO RLE in memory; random weights, "
                    "so the guard is not asked; loading and three frames count on neither side"
                )
                rows.append(
                    Row(
                        row=f"file to stored masks by {key}, beside {name}",
                        ours=1000 * ours[key][0],
                        peer=1000 * cpu_s,
                        peer_name=name,
                        unit="CPU-ms",
                        note=why or note,
                    )
                )
    return rows


def same_layout(root: Path) -> ModelCard:
    """YOLOv8n-seg's layout with random weights that find fifteen things in any frame."""
    torch.manual_seed(0)
    network = models.create_model("lmsf_a", **_SAME_LAYOUT)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over what it sees
    pictures = np.stack(stills(SIZES_PX[0], slice(0, None, 30)))
    with torch.no_grad():  # without it a random network's signal dies on its way
        network.train()(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255)
        for branch in network.head.classify:
            branch[-1].bias.fill_(0.5)
    card = ModelCard(
        name="bench-same-layout",
        title="Benchmark",
        system="lmsf_a",
        options=dict(_SAME_LAYOUT),
        task="instance-segmentation",
        classes=(ModelClass(key="instrument", name="Instrument"),),
        input_size_px=SIZES_PX[0],
        thresholds=material.THRESHOLDS,
    )
    return models.save_model(network.eval(), card, root)


def _forward(card: ModelCard, size: tuple[int, int], rounds: int) -> list[Row]:
    picture = cv2.resize(material.frame(), size)
    loaded, absent = _loaded(card, size)
    work: dict[str, Callable[[], object]] = {
        key: lambda engine=engine: engine.forward(picture) for key, engine in loaded.items()
    }
    same = card.name == "bench-same-layout"
    if same and not peer.why_not():
        network, images = peer.network(), torch.rand(1, 3, size[1], size[0])
        work["peer"] = lambda: _quiet(network, images)
    times = interleaved(work, rounds)
    name = "YOLOv8n-seg layout" if same else "LMSF-A"
    note = f"{name} {size[1]}x{size[0]}, {card.parameters / 1e6:.1f} M parameters"
    rows = [
        _row(f"engine {key}, {note}", times, key, EAGER, "PyTorch eager", engine.precision)
        for key, engine in loaded.items()
    ]
    if "peer" in times:
        rows.append(_row(f"engine torch, {note}", times, EAGER, "peer", peer.NAME, "fp32"))
    rows += [
        Row(row=f"engine {key}, {note}", ours=None, unit="CPU-ms", note=why)
        for key, why in absent.items()
    ]
    return rows


def _frame_to_raw(card: ModelCard, rounds: int) -> list[Row]:
    frame = material.frame()
    fit = letterbox(material.WIDTH_PX, material.HEIGHT_PX, SIZES_PX[0])
    loaded, _ = _loaded(card, (fit.input_width_px, fit.input_height_px))
    work: dict[str, Callable[[], object]] = {
        key: lambda engine=engine: engine.forward(fit_frame(frame, fit))
        for key, engine in loaded.items()
    }
    why = peer.why_not()
    if not why:
        model = peer.predictor()
        options = {"imgsz": 640, "verbose": False, "device": "cpu", "conf": 0.99}
        work["peer"] = lambda: _quiet(model.predict, frame, **options)
    times = interleaved(work, rounds)
    note = "1080p to raw output; peer: predict() with nothing to draw (conf 0.99), same layout"
    return [
        _row(f"frame to raw by {key}", times, key, "peer", peer.NAME, why or note) for key in loaded
    ]


def _loaded(card: ModelCard, size: tuple[int, int]) -> tuple[dict[str, Engine], dict[str, str]]:
    """The engines that are here, and why the others are not."""
    eager, loaded, absent = Eager(card), {}, {}
    for kind in KINDS:
        try:
            loaded[kind.key] = load(
                kind.key, eager, material.CPU, size, 1, lambda: stills(size, slice(5, None, 16))
            )
        except EnvironmentProblem as error:
            absent[kind.key] = error.user_message
    return loaded, absent


def _demo() -> ModelCard | None:
    return next((c for c in models.list_cards() if c.name == "lmsf-a-demo"), None)


def _row(
    name: str, times: dict[str, Times], ours: str, theirs: str, their_name: str, note: str
) -> Row:
    return row_of(name, times, note, ours=ours, peer=theirs, peer_name=their_name)


def _our_file(folder: Path, clip: Path, card: ModelCard, engine: str) -> tuple[float, Any]:
    """CPU-seconds of a frame once the first ones are through, and the analysis' result."""
    stamps: list[float] = []

    def asked_before_each_frame() -> bool:
        stamps.append(time.process_time())
        return False

    with Library.open(folder, ballast_bytes=0) as library:
        case = library.writer.create_case("Benchmark", "unknown", (describe_asset(clip, "bench"),))
        job = AnalysisJob(
            library, case.result(), [card], device=material.CPU, threads=1, engine=engine
        )
        result = job.run(should_cancel=asked_before_each_frame)
        stamps = stamps[-result.frames :]
        spent_s = time.process_time() - stamps[_WARM_FRAMES]
        return spent_s / (len(stamps) - _WARM_FRAMES), result


def _peer_file(clip: Path, *, full: bool) -> float:
    """CPU-seconds of a frame of the peer's whole way, once the first ones are through."""
    model = peer.predictor()
    options = {"imgsz": 640, "verbose": False, "device": "cpu", "max_det": material.INSTANCES}
    options |= {"conf": 1e-6, "retina_masks": full, "stream": True}
    stamps = []
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for result in model.predict(str(clip), **options):
            if result.masks is not None:
                peer.coco_rle(result.masks.data.numpy().astype(np.uint8))
            stamps.append(time.process_time())
    counted = stamps[_WARM_FRAMES - 1 :]
    return (counted[-1] - counted[0]) / (len(counted) - 1)


def _quiet(work: Callable[..., object], *args: object, **options: object) -> object:
    with (
        warnings.catch_warnings(),
        torch.inference_mode(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        return work(*args, **options)


@contextlib.contextmanager
def _trusted(card: ModelCard, key: str) -> Iterator[None]:
    """An engine counts as passed: a random network's answers say nothing about it."""
    rung = Rung(engine=key, passed=True, words="Not asked.", ms=1.0)
    ladder = Ladder(
        model=card.name,
        width_px=SIZES_PX[0][0],
        height_px=SIZES_PX[0][1],
        device=material.CPU.name,
        threads=1,
        rungs=(rung,),
    )
    write(card, material.CPU, ladder)
    with mock.patch.object(choice, "compare", return_value=Difference(telling=True)):
        yield


@contextlib.contextmanager
def _own_cache() -> Iterator[Path]:
    """A cache of engines that is gone afterwards."""
    before = os.environ.get("TROCAR_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TROCAR_CACHE"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("TROCAR_CACHE")
            if before is not None:
                os.environ["TROCAR_CACHE"] = before
