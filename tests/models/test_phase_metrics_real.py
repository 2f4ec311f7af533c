"""The phase metrics against a second scorer, written from the definitions, mostly as loops."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, groupby
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest

from app.exchange.labels.pairing import class_keys
from app.exchange.labels.reading import read_labels
from models.metrics.phases import phase_metrics

Video = list[int]


def runs(video: Video) -> list[tuple[int, int, int]]:
    out, at = [], 0
    for label, group in groupby(video):
        size = len(list(group))
        out.append((label, at, at + size))
        at += size
    return out


def counted(truth: Video, said: Video, phase: int) -> list[float] | None:
    there, told = np.array(truth) == phase, np.array(said) == phase
    hit, true, claimed = (int(x.sum()) for x in (there & told, there, told))
    if true == 0:
        return None
    return [
        hit / claimed * 100 if claimed else 0.0,
        hit / true * 100,
        hit / (true + claimed - hit) * 100,
        2 * hit / (true + claimed) * 100,
    ]


def relaxed(truth: Video, said: Video, mode: str) -> tuple[float, dict[int, list[float]]]:
    """The published evaluation, step by step, phases counted from 1 as there."""
    diff = [p - t for t, p in zip(truth, said, strict=True)]
    corrected = list(diff)
    for label, start, end in runs(truth):
        piece = diff[start:end]
        t = min(10, len(piece))
        phase = label + 1
        for i in range(t):
            if piece[i] == -1 or (phase in (6, 7) and piece[i] == -2):
                corrected[start + i] = 0
        for i in range(t):
            late = piece[len(piece) - t + i]
            if late == 1 or (phase in (4, 5, 6, 7) and late == 2):
                place = i if mode == "matlab" else len(piece) - t + i
                corrected[start + place] = 0
    out = {}
    right = np.array(corrected) == 0
    for phase in set(truth):
        there, told = np.array(truth) == phase, np.array(said) == phase
        hits = int(right[there | told].sum())
        sizes = [int(x.sum()) for x in (told, there, there | told)]
        shares = [100 * hits / size if size else 0.0 for size in sizes]
        out[phase] = [min(s, 100.0) for s in shares] if mode == "intended" else shares
    return 100 * corrected.count(0) / len(truth), out


def distance(a: Sequence[int], b: Sequence[int]) -> int:
    table = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            same = 0 if a[i - 1] == b[j - 1] else 1
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + same)
    return table[-1][-1]


def segment_counts(truth: Video, said: Video, overlap: float) -> tuple[int, int, int]:
    real, taken, hits, false = runs(truth), [], 0, 0
    for label, start, end in runs(said):
        best = (0.0, -1)
        for i, (other, a, b) in enumerate(real):
            if other == label:
                both = len(range(max(start, a), min(end, b)))
                iou = both / ((end - start) + (b - a) - both)
                if iou > best[0]:
                    best = iou, i
        if best[1] >= 0 and best[0] >= overlap and best[1] not in taken:
            taken.append(best[1])
            hits += 1
        else:
            false += 1
    return hits, false, len(real) - len(taken)


def slow(truth: list[Video], said: list[Video], classes: int) -> dict[str, object]:
    pairs = list(zip(truth, said, strict=True))
    columns: dict[int, list[list[float]]] = {}
    for t, p in pairs:
        for phase in range(classes):
            if (found := counted(t, p, phase)) is not None:
                columns.setdefault(phase, []).append(found)
    means = [[fmean(c) for c in zip(*rows, strict=True)] for rows in columns.values()]
    together = [list(chain(*truth)), list(chain(*said))]
    pooled = [f for c in range(classes) if (f := counted(*together, c)) is not None]
    out: dict[str, object] = {
        "mean": [fmean(c) for c in zip(*means, strict=True)],
        "std": [stdev(c) if len(c) > 1 else 0.0 for c in zip(*means, strict=True)],
        "accuracy": fmean(
            100 * sum(a == b for a, b in zip(t, p, strict=True)) / len(t) for t, p in pairs
        ),
        "pooled": [fmean(c) for c in zip(*pooled, strict=True)],
        "edit": fmean(
            100 * (1 - distance(a, b) / max(len(a), len(b)))
            for a, b in (([r[0] for r in runs(t)], [r[0] for r in runs(p)]) for t, p in pairs)
        ),
    }
    for at in (10, 25, 50):
        hits, false, missed = map(
            sum, zip(*(segment_counts(t, p, at / 100) for t, p in pairs), strict=True)
        )
        out[f"f1@{at}"] = 100 * 2 * hits / (2 * hits + false + missed)
    for mode in ("matlab", "intended"):
        scored = [relaxed(t, p, mode) for t, p in pairs]
        phases: dict[int, list[list[float]]] = {}
        for _, found_in in scored:
            for phase, row in found_in.items():
                phases.setdefault(phase, []).append(row)
        rows = [[fmean(c) for c in zip(*r, strict=True)] for r in phases.values()]
        out[mode] = [fmean(a for a, _ in scored), *(fmean(c) for c in zip(*rows, strict=True))]
    return out


def perturbed(video: Video, seed: int) -> Video:
    """Borders moved, stretches renamed, flicker, a phase lost: what real predictions do."""
    made = np.random.default_rng(seed)
    out = np.array(video)
    for _, start, _ in runs(video)[1:]:
        move = int(made.integers(-40, 41))
        a, b = sorted((start, max(0, start + move)))
        out[a:b] = video[start] if move < 0 else video[start - 1]
    for _ in range(int(made.integers(0, 6))):
        start, size = int(made.integers(0, len(out))), int(made.integers(1, 120))
        out[start : start + size] = made.integers(0, 7)
    flicker = made.random(len(out)) < made.choice([0, 0.002, 0.05])
    out[flicker] = made.integers(0, 7, flicker.sum())
    if made.random() < 0.3:
        out[out == made.integers(0, 7)] = made.integers(0, 7)
    return [int(v) for v in out]


@pytest.fixture(scope="module")
def real_videos(shared_data: Path) -> list[Video]:
    """Phases of every second of ten real operations."""
    cases = read_labels([shared_data / "cholec80_phase_txt"])
    keys = class_keys(cases)
    assert len(cases) == 10
    return [
        [keys.index(str(c.phases.phase_at(t))) for t in range(c.length)]
        for c in cases
        if c.phases is not None
    ]


def compare(truth: list[Video], said: list[Video]) -> None:
    ours = phase_metrics([np.array(t) for t in truth], [np.array(p) for p in said], "abcdefg")
    other = slow(truth, said, 7)
    names = ("precision", "recall", "jaccard", "f1")
    spread, about = [ours.video_then_phase[n] for n in names], pytest.approx
    assert [s.mean for s in spread] == about(other["mean"], abs=1e-9)
    assert [s.std for s in spread] == about(other["std"], abs=1e-9)
    assert ours.video_then_phase["accuracy"].mean == about(other["accuracy"])
    assert [ours.pooled[n] for n in names] == about(other["pooled"], abs=1e-9)
    assert ours.edit == about(other["edit"])
    assert [*ours.f1_at.values()] == about([other[f"f1@{at}"] for at in (10, 25, 50)])
    for mode in ("matlab", "intended"):
        assert [*ours.relaxed_10s[mode].values()] == about(other[mode], abs=1e-9)


def test_a_second_scorer_agrees_under_200_perturbations(real_videos: list[Video]) -> None:
    """Every second of two operations each time; all ten at once below."""
    for seed in range(200):
        picked = np.random.default_rng(seed).choice(10, 2, replace=False)
        truth = [real_videos[i] for i in picked]
        compare(truth, [perturbed(video, 1000 * seed + i) for i, video in enumerate(truth)])


@pytest.mark.long
def test_a_second_scorer_agrees_on_ten_operations(real_videos: list[Video]) -> None:
    for seed in range(200):
        compare(real_videos, [perturbed(v, 1000 * seed + i) for i, v in enumerate(real_videos)])
