"""The instance loss, its assignment and its targets."""

from __future__ import annotations

from math import atan, log, pi

import numpy as np
import pytest
import torch

from models.errors import OptionError
from models.losses.assignment import assign
from models.losses.boundary import edge_loss, gradient_loss
from models.losses.boxes import complete_iou
from models.losses.instance import InstanceLoss
from models.losses.targets import boxes_of_masks, targets_of_masks
from models.types import InstanceOutput, InstanceTargets, anchor_grid, decode_boxes, encode_boxes


def random_targets(batch: int, count: int, size_px: int, classes: int) -> InstanceTargets:
    corner = torch.rand(batch, count, 2) * size_px * 0.6
    boxes = torch.cat((corner, corner + 4 + torch.rand(batch, count, 2) * size_px * 0.4), -1)
    masks = torch.rand(batch, count, size_px // 4, size_px // 4) > 0.5
    return InstanceTargets(
        boxes=boxes,
        classes=torch.randint(classes, (batch, count)),
        valid=torch.rand(batch, count) > 0.2,
        masks=masks,
    )


def raw_output(size_px: int, classes: int = 3, batch: int = 2) -> InstanceOutput:
    centres, strides = anchor_grid(size_px, size_px, (8, 16, 32))
    a = len(centres)
    return InstanceOutput(
        torch.randn(batch, 64, a, requires_grad=True),
        torch.randn(batch, classes, a, requires_grad=True),
        torch.randn(batch, 32, a, requires_grad=True),
        torch.randn(batch, 32, size_px // 4, size_px // 4, requires_grad=True),
        centres,
        strides,
    )


def brute_force(
    scores: torch.Tensor,
    boxes: torch.Tensor,
    centres: torch.Tensor,
    targets: InstanceTargets,
    k: int,
) -> tuple[list[list[int]], torch.Tensor]:
    """Owner of every anchor (-1: none) and target scores, one anchor at a time."""
    batch, anchors, classes = scores.shape
    owners = [[-1] * anchors for _ in range(batch)]
    wanted = torch.zeros(batch, anchors, classes)
    for b in range(batch):
        claims: dict[int, dict[int, tuple[float, float]]] = {}
        for m in range(targets.classes.shape[1]):
            if not targets.valid[b, m]:
                continue
            x0, y0, x1, y1 = targets.boxes[b, m].tolist()
            inside = []
            for a in range(anchors):
                x, y = centres[a].tolist()
                if x0 < x < x1 and y0 < y < y1:
                    iou = max(float(complete_iou(targets.boxes[b, m], boxes[b, a])), 0.0)
                    s = float(scores[b, a, targets.classes[b, m]])
                    inside.append((s**0.5 * iou**6, iou, a))
            for metric, iou, a in sorted(inside, reverse=True)[:k]:
                claims.setdefault(a, {})[m] = (metric, iou)
        for a, by in claims.items():
            owners[b][a] = max(by, key=lambda m: by[m][1])
        for m in range(targets.classes.shape[1]):
            mine = {a: claims[a][m] for a in claims if owners[b][a] == m}
            if mine:
                peak = max(v[0] for v in mine.values())
                top = max(v[1] for v in mine.values())
                for a, (metric, _) in mine.items():
                    wanted[b, a, targets.classes[b, m]] = metric * top / (peak + 1e-9)
    return owners, wanted


@pytest.mark.parametrize("seed", range(4))
def test_assignment_equals_brute_force(seed: int) -> None:
    torch.manual_seed(seed)
    targets = random_targets(2, 5, 64, 3)
    centres, _ = anchor_grid(64, 64, (8, 16, 32))
    scores = torch.rand(2, len(centres), 3)
    size = 8 + 40 * torch.rand(2, len(centres), 2)
    boxes = torch.cat((centres - size / 2, centres + size / 2), -1)
    given = assign(scores, boxes, centres, targets, top_k=4)
    owners, wanted = brute_force(scores, boxes, centres, targets, 4)
    got = torch.where(given.positive, given.instance, -1).tolist()
    assert got == owners
    assert torch.allclose(given.scores, wanted, atol=1e-5)


def test_an_instance_without_an_anchor_inside_gets_none() -> None:
    centres, _ = anchor_grid(64, 64, (8, 16, 32))
    targets = InstanceTargets(
        boxes=torch.tensor([[[5.0, 5.0, 7.0, 7.0], [8.0, 8.0, 40.0, 40.0]]]),
        classes=torch.zeros(1, 2, dtype=torch.long),
        valid=torch.ones(1, 2, dtype=torch.bool),
        masks=torch.ones(1, 2, 16, 16, dtype=torch.bool),
    )
    boxes = torch.cat((centres - 8, centres + 8), -1)[None]
    given = assign(torch.rand(1, len(centres), 1), boxes, centres, targets)
    assert given.positive.sum() == 10
    assert (given.instance[given.positive] == 1).all()


def test_bins_and_boxes_are_each_others_inverse() -> None:
    torch.manual_seed(0)
    centres, strides = anchor_grid(96, 160, (8, 16, 32))
    sides = torch.rand(1, len(centres), 4) * 14.9
    bins = torch.full((1, len(centres), 4, 16), -40.0)
    low = sides.long()
    share = sides - low
    bins.scatter_(3, low[..., None], torch.log(1 - share)[..., None])
    bins.scatter_(3, low[..., None] + 1, torch.log(share)[..., None])
    boxes = decode_boxes(bins.flatten(2).transpose(1, 2), centres, strides)
    assert torch.allclose(encode_boxes(boxes, centres, strides), sides, atol=1e-4)
    double = decode_boxes(
        bins.double().flatten(2).transpose(1, 2), centres.double(), strides.double()
    )
    assert torch.allclose(
        encode_boxes(double, centres.double(), strides.double()), sides.double(), atol=1e-6
    )


def test_complete_iou_by_hand() -> None:
    a = torch.tensor([0.0, 0.0, 4.0, 4.0])
    assert complete_iou(a, a).item() == pytest.approx(1, abs=1e-5)
    b = torch.tensor([2.0, 0.0, 6.0, 4.0])
    assert complete_iou(a, b).item() == pytest.approx(8 / 24 - 4 / (36 + 16), abs=1e-5)
    # Of another shape: 4 x 4 beside 2 x 8 with the same centre; hull 4 x 8.
    iou, aspect = 8 / 24, 4 / pi**2 * (atan(1) - atan(1 / 4)) ** 2
    weight = aspect / (1 - iou + aspect)
    tall = torch.tensor([1.0, -2.0, 3.0, 6.0])
    assert complete_iou(a, tall).item() == pytest.approx(iou - weight * aspect, abs=1e-5)


def loss_by_the_book(
    output: InstanceOutput, targets: InstanceTargets, top_k: int
) -> dict[str, float]:
    """The four parts as section 1.7 words them, one positive and one pixel row at a time."""
    boxes = decode_boxes(output.boxes, output.centres_px, output.strides_px)
    scores = output.class_logits.transpose(1, 2).sigmoid()
    given = assign(scores, boxes, output.centres_px, targets, top_k=top_k)
    total = max(float(given.scores.sum()), 1.0)
    entropy = -(given.scores * scores.log() + (1 - given.scores) * (1 - scores).log())
    box = bins = mask = 0.0
    for b, a in given.positive.nonzero().tolist():
        m = int(given.instance[b, a])
        truth, weight = targets.boxes[b, m], float(given.scores[b, a].sum())
        box += (1 - float(complete_iou(boxes[b, a], truth))) * weight
        (x, y), stride = output.centres_px[a].tolist(), float(output.strides_px[a])
        x0, y0, x1, y1 = truth.tolist()
        sides = [min(max(d / stride, 0), 14.99) for d in (x - x0, y - y0, x1 - x, y1 - y)]
        logits = output.boxes[b, :, a].reshape(4, 16)
        for side, row in zip(sides, logits, strict=True):
            log_p, low = row - row.logsumexp(0), int(side)
            right = (1 - (side - low)) * log_p[low] + (side - low) * log_p[low + 1]
            bins -= float(right) / 4 * weight
        plane = (output.mask_coefficients[b, :, a, None, None] * output.prototypes[b]).sum(0)
        height, width = plane.shape
        inside = 0.0
        for j in range(height):
            for i in range(width):
                if x0 / 4 <= i < x1 / 4 and y0 / 4 <= j < y1 / 4:
                    p = float(plane[j, i].sigmoid().clamp(1e-12, 1 - 1e-7))
                    inside -= log(p) if targets.masks[b, m, j, i] else log(1 - p)
        share = (x1 - x0) * (y1 - y0) / 16 / (height * width)
        mask += inside / (height * width) / share
    return {
        "box": 7.5 * box / total,
        "classify": 0.5 * float(entropy.sum()) / total,
        "bins": 1.5 * bins / total,
        "mask": 7.5 * mask / int(given.positive.sum()),
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_the_four_parts_are_those_of_the_book(seed: int) -> None:
    torch.manual_seed(seed)
    output, targets = raw_output(64), random_targets(2, 3, 64, 3)
    output = output._replace(
        mask_coefficients=output.mask_coefficients / 5, class_logits=output.class_logits + 1
    )
    loss, parts = InstanceLoss(top_k=6)(output, targets)
    with torch.no_grad():
        wanted = loss_by_the_book(output, targets, 6)
    assert {k: v.item() for k, v in parts.items()} == pytest.approx(wanted, rel=1e-3)
    assert loss.item() == pytest.approx(2 * sum(wanted.values()), rel=1e-3)
    assert min(wanted.values()) > 0


def test_no_instances_is_a_loss_of_classes_alone() -> None:
    torch.manual_seed(1)
    output = raw_output(64)
    nothing = random_targets(2, 0, 64, 3)
    loss, parts = InstanceLoss()(output, nothing)
    loss.backward()
    assert torch.isfinite(loss)
    assert parts["classify"] > 0
    assert parts["box"] == parts["mask"] == parts["bins"] == 0
    assert output.class_logits.grad.abs().max() > 0


def test_the_ignored_zone_changes_nothing() -> None:
    torch.manual_seed(2)
    output = raw_output(64)
    targets = random_targets(2, 3, 64, 3)
    zone = torch.zeros(2, 16, 16, dtype=torch.bool)
    zone[:, :, 8:] = True
    targets = InstanceTargets(
        boxes=targets.boxes, classes=targets.classes, valid=targets.valid,
        masks=targets.masks, ignore=zone,
    )  # fmt: skip
    first, _ = InstanceLoss()(output, targets)
    right = output.centres_px[:, 0] >= 32
    other = output._replace(
        class_logits=torch.where(right, torch.randn_like(output.class_logits), output.class_logits),
        boxes=torch.where(right, torch.randn_like(output.boxes), output.boxes),
        prototypes=torch.where(zone[:, None], torch.randn(2, 32, 16, 16), output.prototypes),
    )
    second, _ = InstanceLoss()(other, targets)
    assert first.item() == pytest.approx(second.item(), rel=1e-5)
    everything = InstanceTargets(
        boxes=targets.boxes, classes=targets.classes, valid=targets.valid,
        masks=targets.masks, ignore=torch.ones_like(zone),
    )  # fmt: skip
    assert InstanceLoss()(output, everything)[0].item() == 0


def edges_by_hand(mask: np.ndarray) -> np.ndarray:
    """Largest less smallest of the 3 x 3 cells round each, those beyond the frame left out."""
    out = np.zeros_like(mask)
    for y, x in np.ndindex(mask.shape):
        near = mask[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        out[y, x] = near.max() - near.min()
    return out


def test_border_losses_by_hand() -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(2, 7, 9)) * 2, (rng.random((2, 7, 9)) > 0.6) * 1.0
    window = np.zeros((2, 7, 9))
    window[0, 1:6, 2:8] = window[1, :, :4] = 1
    said, true = window / (1 + np.exp(-logits)), truth * window
    edge, gradient = [], []
    for p, t, w in zip(said, true, window, strict=True):
        e, wanted = edges_by_hand(p), edges_by_hand(t)
        right = np.where(wanted > 0, e, 1 - e)[w > 0]
        edge.append(-np.log(right).mean())
        error = np.pad(p - t, 1)
        x, y = error[1:-1, 2:] - error[1:-1, :-2], error[2:, 1:-1] - error[:-2, 1:-1]
        gradient.append(((abs(x) + abs(y)) / 2)[w > 0].mean())
    args = [torch.from_numpy(v).float() for v in (logits, truth, window)]
    assert edge_loss(*args).item() == pytest.approx(np.mean(edge), rel=1e-4)
    assert gradient_loss(*args).item() == pytest.approx(np.mean(gradient), rel=1e-4)
    sure = [(args[1] * 2 - 1) * 30, *args[1:]]
    assert edge_loss(*sure).item() == pytest.approx(0, abs=1e-4)
    assert gradient_loss(*sure).item() == pytest.approx(0, abs=1e-4)


def test_border_losses_are_off_until_they_have_a_weight() -> None:
    torch.manual_seed(3)
    output, targets = raw_output(64), random_targets(2, 3, 64, 3)
    plain, parts = InstanceLoss()(output, targets)
    assert "edge" not in parts
    assert "gradient" not in parts
    loss, more = InstanceLoss(edge=2.0, gradient=0.5)(output, targets)
    assert loss.item() == pytest.approx(
        plain.item() + 2 * (more["edge"] + more["gradient"]).item(), rel=1e-5
    )
    assert min(more["edge"], more["gradient"]) > 0
    doubled = InstanceLoss(edge=4.0, gradient=0.5)(output, targets)[1]
    assert doubled["edge"].item() == pytest.approx(2 * more["edge"].item(), rel=1e-5)
    loss.backward()
    assert torch.isfinite(output.prototypes.grad).all()
    nothing, parts = InstanceLoss(edge=2.0)(raw_output(64), random_targets(2, 0, 64, 3))
    assert torch.isfinite(nothing)
    assert parts["edge"] == 0
    for wrong in ({"edge": -1.0}, {"mask": "much"}, {"top_k": 0}):
        with pytest.raises(OptionError, match="weights of at least 0"):
            InstanceLoss(**wrong)


def test_targets_of_masks() -> None:
    mask = np.zeros((2, 32, 48), np.bool_)
    mask[0, 4:12, 8:20] = True
    mask[1, 30:32, 40:43] = True
    assert boxes_of_masks(mask).tolist() == [[8, 4, 20, 12], [40, 30, 43, 32]]
    targets = targets_of_masks([mask, mask[:0]], [np.array([1, 0]), np.zeros(0, np.int64)])
    assert targets.valid.tolist() == [[True], [False]]
    assert targets.classes[0].tolist() == [1]
    assert targets.masks.shape == (2, 1, 8, 12)
    assert targets.masks[0, 0].sum() == 6
    assert targets.masks[0, 0, 1:3, 2:5].all()
