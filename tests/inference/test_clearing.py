"""Smoke over a picture: found small, taken off large, on a thread that looks at the newest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import models
from app.core.errors import BadInput, TrocarError
from app.inference.cards import desmoking_model, load_network
from app.inference.clearing import SmokeThread
from app.inference.desmoke import Desmoker
from app.inference.device import DeviceChoice
from app.inference.trial import trial_ms
from app.inference.veil import Picture, Veil, coarse, find_veil
from models.metrics.pictures import psnr
from tests.helpers.dimming import DIMMER, dimming_model

CPU = DeviceChoice(device="cpu", name="test", reason="test", memory_mb=1)
SIZE = (270, 480)


def tissue(seed: int = 0, size: tuple[int, int] = SIZE) -> Picture:
    """Red-brown, with folds and fine texture, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    folds = cv2.resize(rng.random((9, 16)).astype(np.float32), size[::-1], interpolation=2)
    fine = cv2.GaussianBlur(rng.standard_normal(size).astype(np.float32), (0, 0), 1.2)
    light = 0.25 + 0.6 * folds + 0.25 * fine
    return np.clip(light[..., None] * (205, 95, 80), 0, 255).astype(np.uint8)


def smoky(clear: Picture, amount: float = 0.55) -> Picture:
    """Denser towards the right."""
    density = amount * (0.3 + 0.7 * np.linspace(0, 1, clear.shape[1], dtype=np.float32))
    share = density[None, :, None]
    return np.round(clear * (1 - share) + share * 190).astype(np.uint8)


def small(rgb: Picture, wide: int = 128) -> np.ndarray:
    high = round(wide * rgb.shape[0] / rgb.shape[1])
    return cv2.resize(rgb, (wide, high), interpolation=cv2.INTER_AREA).astype(np.float32)


def test_what_is_seen_small_clears_the_picture_in_its_own_size() -> None:
    clear = tissue()
    shown = smoky(clear)
    before = shown.copy()
    veil = find_veil(small(shown), small(clear), shown)
    lifted = veil.lift(shown)
    assert np.array_equal(shown, before)
    assert psnr(lifted, clear) > psnr(shown, clear) + 12
    # The next frame, another picture of the same scene, has detail of its own.
    moved = np.roll(clear, 3, axis=1)
    assert psnr(veil.lift(smoky(moved)), moved) > psnr(smoky(moved), moved) + 12


def test_what_needs_no_clearing_stays_as_it_is() -> None:
    shown = tissue()
    lifted = find_veil(small(shown), small(shown), shown).lift(shown)
    assert np.abs(lifted.astype(int) - shown).max() <= 2
    assert psnr(lifted, shown) > 48


def test_black_borders_stay_black_and_white_stays_white() -> None:
    clear = tissue()
    clear[:, :80] = 0
    clear[100:110, 300:310] = 255
    shown = smoky(clear)
    shown[:, :80] = 0
    lifted = find_veil(small(shown), small(clear), shown).lift(shown)
    assert lifted[:, :60].max() <= 1
    assert lifted[102:108, 302:308].min() > 235


def test_a_veil_is_of_one_scene_and_raster() -> None:
    shown = smoky(tissue())
    veil = find_veil(small(shown), small(tissue()), shown)
    assert veil.fits(shown)
    assert veil.fits(smoky(np.roll(tissue(), 12, axis=1), 0.5))
    assert not veil.fits(255 - shown)
    assert not veil.fits(np.zeros_like(shown))
    assert not veil.fits(shown[:-2])
    assert coarse(shown).shape == (18, 32, 3)


@pytest.fixture
def desmoker(tmp_path: Path) -> Desmoker:
    return Desmoker(dimming_model(tmp_path), CPU, threads=1)


def test_at_the_networks_own_size_the_veil_is_the_network(desmoker: Desmoker) -> None:
    shown = np.clip(tissue(size=(32, 64)), 60, 255)
    answer = desmoker.answer(shown)
    assert np.allclose(answer, shown - DIMMER, atol=1e-3)
    assert np.abs(desmoker.veil(shown).lift(shown) - answer).max() <= 1.6


def test_the_shipped_network_is_what_the_veil_shows() -> None:
    card = desmoking_model(Path("none"))
    desmoker = Desmoker(card, CPU, threads=1)
    shown = smoky(tissue(size=(64, 114)))
    answer, lifted = desmoker.answer(shown), desmoker.veil(shown).lift(shown)
    assert psnr(lifted, np.round(answer).astype(np.uint8)) > 30


def test_the_newest_imported_model_is_taken_and_none_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dimming_model(tmp_path / "models")
    assert desmoking_model(tmp_path).name == "dimming"
    monkeypatch.setattr(models.card, "BUNDLED_MODELS", tmp_path / "nothing")
    with pytest.raises(BadInput, match="No model that clears smoke"):
        desmoking_model(tmp_path / "elsewhere")


def test_the_check_of_models_runs_it(desmoker: Desmoker) -> None:
    took_ms, device = trial_ms(desmoker.card, CPU)
    assert took_ms > 0
    assert device == CPU


def test_the_network_is_that_of_the_card(desmoker: Desmoker) -> None:
    network = load_network(desmoker.card).eval()
    shown = tissue(size=(40, 52))
    with torch.no_grad():
        images = torch.from_numpy(shown).permute(2, 0, 1)[None].float() / 255
        expected = network(images)[0].permute(1, 2, 0).numpy() * 255
    assert np.allclose(desmoker.answer(shown), expected, atol=1e-3)


class Slow:
    """Clears pictures when it is let; says which it was given."""

    def __init__(self) -> None:
        self.let = threading.Semaphore(0)
        self.seen: list[int] = []

    def veil(self, rgb: Picture) -> Veil:
        self.seen.append(int(rgb[0, 0, 0]))
        assert self.let.acquire(timeout=20)
        return find_veil(small(rgb, 32), small(rgb, 32) / 2, rgb)


def flat(level: int) -> Picture:
    return np.full((36, 64, 3), level, np.uint8)


def until(told: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20
    while not told():
        assert time.monotonic() < end_s
        time.sleep(0.002)


def test_of_many_pictures_the_newest_is_looked_at() -> None:
    slow, done = Slow(), []
    thread = SmokeThread(lambda: slow, done.append, done.append)
    try:
        thread.offer(flat(100))
        until(lambda: slow.seen == [100])
        for level in (101, 102, 103):
            thread.offer(flat(level))
        assert thread.veil_for(flat(100)) is None
        slow.let.release(2)
        until(lambda: slow.seen == [100, 103] and thread.veil_for(flat(103)) is not None)
        assert thread.veil_for(flat(200)) is None  # another scene
        assert done == []  # nobody asked for one that stands still
        assert thread.took_s > 0
    finally:
        slow.let.release()
        thread.close()


def test_a_picture_that_stands_still_is_told() -> None:
    slow, told = Slow(), []
    thread = SmokeThread(lambda: slow, told.append, told.append)
    slow.let.release(2)
    try:
        first, second = flat(100), flat(120)
        thread.offer(first, still=True)
        until(lambda: len(told) == 1)
        thread.offer(second)
        until(lambda: slow.seen == [100, 120])
        assert told[0].of is first
        assert np.abs(told[0].picture.astype(int) - 50).max() <= 2
    finally:
        thread.close()
    assert "trocar-smoke" not in [t.name for t in threading.enumerate()]
    assert len(told) == 1


def test_a_thread_that_cannot_begin_says_so_once_and_ends() -> None:
    failed: list[TrocarError] = []

    def load() -> Slow:
        raise BadInput("no model")

    thread = SmokeThread(load, lambda _: None, failed.append)
    until(lambda: bool(failed))
    thread.offer(flat(1))
    thread.close()
    assert [f.user_message for f in failed] == ["no model"]


def test_a_bug_ends_in_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    failed: list[TrocarError] = []
    thread = SmokeThread(lambda: 1 / 0, lambda _: None, failed.append)  # type: ignore[arg-type, return-value]
    until(lambda: bool(failed))
    thread.close()
    assert "not touched" in failed[0].user_message
    assert "ZeroDivisionError" in caplog.text
    caplog.clear()
