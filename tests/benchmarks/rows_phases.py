"""Phases: one step of EndoMamba beside other ways to the same answer, and a case's timeline.

The official code needs CUDA, so that there is no peer of its own; what a step is held against is
what else one would do with the same weights, and a vision transformer of as many parameters.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

import models
from app.inference import AnalysisJob
from app.inference.analysis import AnalysisResult
from app.store import Library
from app.video import describe_asset
from models.card import ModelCard, ModelClass
from models.dinov2 import DinoV2
from models.endomamba import EndoMamba, mixer
from tests.benchmarks import material, video_material
from tests.benchmarks.measure import Row, Times, interleaved, row_of
from tests.helpers.plain_scan import token_loop

SIZES = ("tiny", "small")
WINDOW_FRAMES = 32
SIDE_PX = 224
_VIT_HEADS = {192: 3, 384: 6}
PART_S, SHORT_PART_S = 600, 120
THREADS = 2
DEMO = "endomamba-demo"


def phase_step(rounds: int) -> list[Row]:
    """One frame after many, by EndoMamba's carried state."""
    return [row for size in SIZES for row in _steps(size, rounds)]


@torch.inference_mode()
def _steps(size: str, rounds: int) -> list[Row]:
    torch.manual_seed(0)
    network = EndoMamba(size, num_classes=7).eval()
    parameters = sum(p.numel() for p in network.parameters())
    vit = vit_of(network.width, parameters)
    clip = torch.randn(1, 3, WINDOW_FRAMES, SIDE_PX, SIDE_PX)
    frame = clip[:, :, -1]
    _, state = network.step(frame)
    work: dict[str, Callable[[], object]] = {
        "step": lambda: network.step(frame, state),
        "plain": lambda: _plain(network, frame, state),
        "vit": lambda: vit(frame),
    }
    times = interleaved(work, rounds)
    start, start_cpu = time.perf_counter(), time.process_time()
    network(clip)
    wall_ms, cpu_ms = (
        1000 * (now - then)
        for now, then in ((time.perf_counter(), start), (time.process_time(), start_cpu))
    )
    times["window"] = Times(min_ms=wall_ms, p50_ms=wall_ms, cpu_ms=cpu_ms)
    what = f"EndoMamba-{size}, {parameters / 1e6:.1f} M parameters, {SIDE_PX} px, fp32, one thread"
    vit_size = sum(p.numel() for p in vit.parameters()) / 1e6
    named = (
        ("plain", "the scan as written, token by token"),
        ("window", f"{WINDOW_FRAMES} frames again for each (once)"),
        ("vit", f"ViT, {vit_size:.1f} M parameters, this frame alone"),
    )
    rows = []
    for key, words in named:
        row = row_of(f"phase step {size}, {key}", times, what, ours="step", peer=key)
        more = {**row.more, "state_bytes": state.nbytes}
        rows.append(replace(row, peer_name=words, note=f"{what}; peer: {words}", more=more))
    return rows


def _plain(network: EndoMamba, frame: Tensor, state: object) -> object:
    """A step in which every scan is the recurrence as the paper writes it."""

    def scan(
        u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, start: Tensor | None
    ) -> object:
        if start is None:
            start = u.new_zeros(u.shape[0], u.shape[1], a.shape[1], u.shape[3])
        return token_loop(u, dt, a, b, c, start)

    with mock.patch.object(mixer, "selective_scan", scan):
        return network.step(frame, state)  # type: ignore[arg-type]


def vit_of(width: int, parameters: int) -> nn.Module:
    """A vision transformer of this width, patches of 16, with about so many parameters."""
    one = _vit(width, 1)
    block = sum(p.numel() for p in one.blocks.parameters())
    beside = sum(p.numel() for p in one.parameters()) - block
    return _vit(width, max(1, round((parameters - beside) / block))).eval()


def _vit(width: int, depth: int) -> DinoV2:
    return DinoV2(
        width=width, depth=depth, heads=_VIT_HEADS[width], image_size=SIDE_PX, patch_size=16
    )


def phase_case(rounds: int) -> list[Row]:
    """Ten minutes of a two-hour recording from the file to stored phases, one a second; two of
    them by the published sizes, which cost a second of the operation what any other does."""
    del rounds  # each is long enough
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo = next(c for c in models.list_cards() if c.name == DEMO)
        sizes = (_timeline(folder, SHORT_PART_S, _card(folder / "models", s)) for s in SIZES)
        return [_timeline(folder, PART_S, demo), *sizes]


def _card(root: Path, size: str) -> ModelCard:
    torch.manual_seed(0)
    card = ModelCard(
        name=f"bench-{size}",
        title="Benchmark",
        system="endomamba",
        options={"size": size, "num_classes": 7},
        task="phase-recognition",
        classes=tuple(ModelClass(key=f"p{i}", name=f"Phase {i}") for i in range(7)),
        input_size_px=(SIDE_PX, SIDE_PX),
        mean_rgb=(0.485, 0.456, 0.406),
        std_rgb=(0.229, 0.224, 0.225),
        frames_per_second=1.0,
    )
    return models.save_model(models.create_model("endomamba", **card.options), card, root)


def _timeline(folder: Path, part_s: int, card: ModelCard) -> Row:
    part = video_material.minutes(folder, ".mp4", part_s // 60)
    alone_s, _, _ = _analysed(folder, part, card, threads=1)
    wall_s, cpu_s, result = _analysed(folder, part, card, threads=THREADS)
    done = result.models[0]
    return Row(
        row=f"phase timeline, {card.name}",
        ours=part_s / wall_s,
        peer=part_s / alone_s,
        peer_name="one thread, a frame after the other",
        unit="frames/s",
        note=f"{part_s // 60} minutes of 30 frames/s, 640 x 360, H.264; one frame a second, hence "
        f"times faster than the operation; file to stored phases and features, {THREADS} threads",
        more={
            "frames": done.computed,
            "wall_s": wall_s,
            "cpu_s": cpu_s,
            "times_real_by_cpu": part_s / cpu_s,
            "decode_ms": result.decode_ms,
            "model_ms": done.ms_per_frame,
            "store_ms": result.store_ms,
        },
    )


def _analysed(
    folder: Path, part: Path, card: ModelCard, threads: int
) -> tuple[float, float, AnalysisResult]:
    """Wall and processor seconds, and what came out."""
    at = folder / f"library-{card.name}-{threads}"
    with Library.open(at, ballast_bytes=0) as library:
        asset = describe_asset(part, "bench")
        case = library.writer.create_case("Benchmark", "unknown", (asset,)).result()
        job = AnalysisJob(library, case, [card], device=material.CPU, threads=threads)
        start, start_cpu = time.perf_counter(), time.process_time()
        result = job.run()
        return time.perf_counter() - start, time.process_time() - start_cpu, result
