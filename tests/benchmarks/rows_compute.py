"""Rows that need no window: network, post-processing, overlay, phase step, file to stored masks."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from app.core.prediction import Instance
from app.inference import AnalysisJob
from app.inference.segmenter import Segmenter
from app.overlay import Dial, OverlayStyle, ShownInstance, compose, contours_of
from app.store import Library
from app.video import describe_asset
from tests.benchmarks import material, peer
from tests.benchmarks.measure import Row, interleaved, row_of

STYLE = OverlayStyle(
    outlines=((124, 255, 0), (0, 229, 255), (255, 43, 214), (155, 92, 255), (61, 125, 255)),
    halo=(0, 0, 0),
    text=(242, 242, 242),
    plate=(10, 10, 10),
)


def forward(rounds: int) -> list[Row]:
    """One frame through the network, 640 x 384, batch 1, one thread."""
    with tempfile.TemporaryDirectory() as folder:
        segmenter = material.segmenter_at_1080p(Path(folder))
    work: dict[str, Callable[[], object]] = {
        "ours": segmenter.forward,
    }
    why = peer.why_not()
    if not why:
        network, images = peer.network(), torch.rand(1, 3, 384, 640)
        work["peer"] = lambda: _quiet(network, images)
    times = interleaved(work, rounds)
    note = "LMSF-A 1.8 M parameters, PyTorch fp32; peer fp32 eager, 3.3 M; engines: row engines"
    return [row_of("forward 384x640", times, why or note, peer="peer", peer_name=_name(why))]


def frame_to_raw(rounds: int) -> list[Row]:
    """A 1080p frame to raw output, preparation included."""
    with tempfile.TemporaryDirectory() as folder:
        segmenter = material.segmenter_at_1080p(Path(folder))
    picture = material.frame()
    work: dict[str, Callable[[], object]] = {"ours": lambda: segmenter.raw(picture)}
    why = peer.why_not()
    if not why:
        model = peer.predictor()
        options = {"imgsz": 640, "verbose": False, "device": "cpu", "conf": 0.99}
        work["peer"] = lambda: _quiet(model.predict, picture, **options)
    times = interleaved(work, rounds)
    note = "1080p to raw output; peer: predict() with nothing to draw (conf 0.99)"
    return [row_of("frame to raw", times, why or note, peer="peer", peer_name=_name(why))]


def post(rounds: int) -> list[Row]:
    """Raw output to masks in the 1080p frame, contours and run lengths."""
    with tempfile.TemporaryDirectory() as folder:
        segmenter = material.segmenter_at_1080p(Path(folder))
    rows = []
    for share in (0.8, 0.5, 0.2):
        raw = material.raw_output(share)
        work: dict[str, Callable[[], object]] = {
            "ours": lambda raw=raw: _our_post(segmenter, raw),
            "masks": lambda raw=raw: segmenter.instances_from(raw.ours),
        }
        why = peer.why_not()
        if not why:
            work["640"] = lambda raw=raw: _peer_post(raw, full=False)
            work["full"] = lambda raw=raw: _peer_post(raw, full=True)
        times = interleaved(work, rounds)
        found = _our_post(segmenter, raw)
        for name, key, raster in (
            ("640-pixel masks", "640", "640 x 384"),
            ("full-resolution masks", "full", "1080p"),
        ):
            note = (
                f"{len(found)} instances, boxes over {share:.0%} of 1080p; ours: masks in 1080p, "
                "their edges exact to the pixel with holes, stored bytes; peer: masks in "
                f"{raster}, outer edges, COCO run lengths"
            )
            row = row_of(
                f"post {share:.0%}, peer's {name}",
                times,
                why or note,
                peer=key,
                peer_name=_name(why),
            )
            rows.append(replace(row, more={**row.more, "ours_masks_only": times["masks"].cpu_ms}))
    return rows


def overlay(rounds: int) -> list[Row]:
    """Fifteen instances drawn over 1080p."""
    with tempfile.TemporaryDirectory() as folder:
        segmenter = material.segmenter_at_1080p(Path(folder))
    found = segmenter.instances_from(material.raw_output().ours)
    shown = [
        ShownInstance(label=i.label, mask=i.mask, score=i.score, track=n)
        for n, i in enumerate(found)
    ]
    size = (material.WIDTH_PX, material.HEIGHT_PX)
    work: dict[str, Callable[[], object]] = {
        dial.name: lambda dial=dial: compose(shown, size, replace(STYLE, dial=dial))
        for dial in (Dial.OUTLINE, Dial.FILL, Dial.CONFIDENCE)
    }
    work["720p"] = lambda: compose(shown, (1280, 720), STYLE)
    why = peer.why_not()
    if not why:
        results = _peer_results(material.raw_output())
        work["peer"] = lambda: results.plot(boxes=False, labels=False)
    times = interleaved(work, rounds)
    note = f"{len(shown)} instances, filled, outline with halo; peer: Results.plot, filled alone"
    row = row_of(
        "overlay 1080p, filled", times, why or note, ours="FILL", peer="peer", peer_name=_name(why)
    )
    more = {f"ours_{k.lower()}": times[k].cpu_ms for k in ("OUTLINE", "CONFIDENCE", "720p")}
    return [replace(row, more={**row.more, **more})]


def file_to_stored(rounds: int) -> list[Row]:
    """A 1080p H.264 file to masks in the store; the peer's to run lengths in memory."""
    frames = max(8, 4 * rounds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = material.make_clip(folder / "clip.mp4", frames)
        card = material.instrument_model(folder / "models", always_finds=True)
        ours_s, result = _our_file(folder, clip, card)
        why, peer_s = peer.why_not(), None
        if not why:
            peer_s = _peer_file(clip)
    note = (
        f"{frames} frames of 1080p, at most 15 instances each, one thread; ours into SQLite with "
        "tracks; peer predict(stream, retina_masks) and COCO RLE in memory; random weights"
    )
    return [
        Row(
            row="file to stored masks",
            ours=frames / ours_s,
            peer=frames / peer_s if peer_s else None,
            peer_name=_name(why),
            unit="frames/s",
            note=why or note,
            more={
                "instances": result.instances,
                "decode_ms": result.decode_ms,
                "store_ms": result.store_ms,
                "model_ms": result.models[0].ms_per_frame,
            },
        )
    ]


def _our_file(folder: Path, clip: Path, card: object):
    with Library.open(folder / "library", ballast_bytes=0) as library:
        asset = describe_asset(clip, "bench")
        case = library.writer.create_case("Benchmark", "unknown", (asset,)).result()
        job = AnalysisJob(library, case, [card], device=material.CPU, threads=1)
        start = time.perf_counter()
        result = job.run()
        return time.perf_counter() - start, result


def _peer_file(clip: Path) -> float:
    model = peer.predictor()
    options = {"imgsz": 640, "verbose": False, "device": "cpu", "max_det": material.INSTANCES}
    options |= {"conf": 1e-6, "retina_masks": True, "stream": True}
    start = time.perf_counter()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for result in model.predict(str(clip), **options):
            if result.masks is not None:
                peer.coco_rle(result.masks.data.numpy().astype(np.uint8))
    return time.perf_counter() - start


def _our_post(segmenter: Segmenter, raw: material.Raw) -> tuple[Instance, ...]:
    found = segmenter.instances_from(raw.ours)
    contours_of([instance.mask for instance in found])
    for instance in found:
        instance.mask.to_bytes()
    return found


def _peer_post(raw: material.Raw, *, full: bool) -> object:
    from ultralytics.utils import ops
    from ultralytics.utils.nms import non_max_suppression

    found = non_max_suppression(raw.predictions, 0.25, 0.7, nc=1, max_det=material.INSTANCES)[0]
    shape = (material.HEIGHT_PX, material.WIDTH_PX)
    if full:
        found[:, :4] = ops.scale_boxes((384, 640), found[:, :4], shape)
        masks = ops.process_mask_native(raw.prototypes[0], found[:, 6:], found[:, :4], shape)
    else:
        masks = ops.process_mask(
            raw.prototypes[0], found[:, 6:], found[:, :4], (384, 640), upsample=True
        )
    ops_masks = masks.numpy().astype(np.uint8)
    outlines = [
        cv2.findContours(m, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0] for m in ops_masks
    ]
    return outlines, peer.coco_rle(ops_masks)


def _peer_results(raw: material.Raw):
    from ultralytics.engine.results import Results
    from ultralytics.utils import ops
    from ultralytics.utils.nms import non_max_suppression

    found = non_max_suppression(raw.predictions, 0.25, 0.7, nc=1, max_det=material.INSTANCES)[0]
    masks = ops.process_mask(
        raw.prototypes[0], found[:, 6:], found[:, :4], (384, 640), upsample=True
    )
    found[:, :4] = ops.scale_boxes((384, 640), found[:, :4], (1080, 1920))
    return Results(
        material.frame(), path="", names={0: "instrument"}, boxes=found[:, :6], masks=masks
    )


def _quiet(work: Callable[..., object], *values: object, **options: object) -> object:
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(io.StringIO()):
            return work(*values, **options)


def _name(why: str) -> str:
    return "" if why else peer.NAME
