"""Metrics from one table of counts, on tables worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.metrics.confusion import Confusion


def table() -> Confusion:
    """3 background right, 1 called tool; 2 tool right, 2 called background; fat never occurs."""
    confusion = Confusion(["background", "tool", "fat"])
    confusion.add(np.array([[0, 0, 0, 0]]), np.array([[0, 0, 0, 1]]))
    confusion.add(np.array([1, 1, 1, 1, -1]), np.array([1, 1, 0, 0, 2]))
    return confusion


def test_by_hand() -> None:
    """Check 11 of EndoARSS."""
    confusion = table()
    assert confusion.counts.tolist() == [[3, 1, 0], [2, 2, 0], [0, 0, 0]]
    each = confusion.per_class()
    assert each["background"] == {
        "iou": pytest.approx(3 / 6),
        "dice": pytest.approx(6 / 9),
        "precision": pytest.approx(3 / 5),
        "recall": pytest.approx(3 / 4),
    }
    assert each["tool"]["iou"] == pytest.approx(2 / 5)
    assert all(np.isnan(v) for v in each["fat"].values())
    figures = confusion.figures()
    assert figures["accuracy"] == pytest.approx(5 / 8)
    assert figures["miou"] == pytest.approx((3 / 6 + 2 / 5) / 2)
    assert figures["mdice"] == pytest.approx((6 / 9 + 4 / 7) / 2)
    assert figures["precision"] == pytest.approx((3 / 5 + 2 / 3) / 2)
    assert figures["recall"] == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert figures["miou_published"] == pytest.approx((3 / 6.001 + 2 / 5.001 + 0) / 3)


def test_a_class_that_is_only_called_counts_against_the_mean() -> None:
    confusion = Confusion(["a", "b"])
    confusion.add(np.array([0, 0]), np.array([0, 1]))
    assert confusion.figures()["miou"] == pytest.approx(0.25)
    assert np.isnan(confusion.per_class()["b"]["recall"])
    assert confusion.figures()["recall"] == pytest.approx(0.25)
    said = confusion.as_json()
    assert said["per_class"]["b"] == {"iou": 0.0, "dice": 0.0, "precision": 0.0, "recall": None}
    assert said["miou"] == 25.0
    assert "0.001" in said["convention"]


def test_nothing_measured_and_labels_out_of_range() -> None:
    confusion = Confusion(["a", "b"])
    confusion.add(np.array([-1]), np.array([0]))
    assert all(np.isnan(v) for v in confusion.figures().values())
    with pytest.raises(ValueError, match="beyond the 2 classes"):
        confusion.add(np.array([2]), np.array([0]))
    with pytest.raises(ValueError, match="truth is"):
        confusion.add(np.array([0, 1]), np.array([0]))
