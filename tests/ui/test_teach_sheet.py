"""What is said once a model was taught."""

from __future__ import annotations

from app.ui.main_window import MainWindow


def test_figures_say_on_which_frames_they_were_measured(window: MainWindow) -> None:
    figures = {"model": "mine", "base": {"mAP50": 71.0}, "best": {"mAP50": 96.0}}

    def said(held_out: int) -> str:
        window.services.teaching.taught.emit({**figures, "held_out": held_out})
        return window.slot.lines[-1].accessibleName()

    assert "measured on 12 held-out frames." in said(12)
    assert "measured on 1 held-out frame." in said(1)
    assert "mAP50 71 % before, 96 % after, measured on the frames it learnt from" in said(0)
