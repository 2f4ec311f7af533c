"""LMSF-A: counts, shapes, folding, sharing."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from models import create_model
from models.blocks.repvit import RepVGGDW
from models.errors import OptionError
from models.lmsf_a import LMSFA
from models.lmsf_a.head import BoxQuality
from models.types import InstanceOutput, decode_boxes


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def randomise_norms(network: nn.Module) -> None:
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.3)
            norm.running_var.uniform_(0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0, 0.2)


def largest_difference(a: InstanceOutput, b: InstanceOutput) -> float:
    return max(float((x - y).abs().max()) for x, y in zip(a, b, strict=True))


def test_the_sixteen_bin_values_are_frozen() -> None:
    network = LMSFA()
    frozen = [p for p in network.parameters() if not p.requires_grad]
    assert len(frozen) == 1
    assert frozen[0].flatten().tolist() == list(range(16))
    bins = torch.randn(2, 64, 5)
    distances = network.head.dfl(bins)
    boxes = decode_boxes(bins, torch.zeros(5, 2), torch.ones(5))
    assert torch.allclose(distances[:, 2:].transpose(1, 2), boxes[..., 2:], atol=1e-5)


@pytest.mark.parametrize(
    "switches",
    [
        switches if len(set(switches)) == 1 else pytest.param(switches, marks=pytest.mark.long)
        for switches in product((False, True), repeat=3)
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_fused_network_answers_the_same(
    switches: tuple[bool, bool, bool], dtype: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(1)
    network = LMSFA(c2f_pro=switches[0], neck=switches[1], lmsh=switches[2]).to(dtype).eval()
    randomise_norms(network)
    fused = network.fuse()
    images = torch.rand(2, 3, 96, 160, dtype=dtype)
    with torch.no_grad():
        before, after, again = network(images), fused(images), fused.fuse()(images)
    assert largest_difference(before, after) < tolerance
    assert largest_difference(after, again) == 0
    assert count(fused.fuse()) == count(fused)
    for part in fused.modules():
        if isinstance(part, RepVGGDW):
            assert dict(part.named_children()).keys() == {"wide"}
    folded = [m for m in fused.modules() if isinstance(m, nn.BatchNorm2d)]
    assert folded == ([fused.fusion.norm] if fused.neck_fusion else [])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160), (384, 640)])
def test_shapes(height: int, width: int) -> None:
    network = create_model("lmsf_a", num_classes=5).eval()
    with torch.no_grad():
        out = network(torch.rand(1, 3, height, width))
    anchors = height * width * 21 // 1024
    assert out.boxes.shape == (1, 64, anchors)
    assert out.class_logits.shape == (1, 5, anchors)
    assert out.mask_coefficients.shape == (1, 32, anchors)
    assert out.prototypes.shape == (1, 32, height // 4, width // 4)
    assert out.centres_px.shape == (anchors, 2)
    assert out.strides_px.shape == (anchors,)
    assert out.centres_px[0].tolist() == [4, 4]
    assert out.centres_px[-1].tolist() == [
        width - 16,
        height - 16,
    ]
    assert out.boxes_xyxy().shape == (1, anchors, 4)


def test_a_square_of_640_has_8400_anchors() -> None:
    with torch.no_grad():
        out = LMSFA().eval()(torch.rand(1, 3, 640, 640))
    assert out.class_logits.shape[2] == 8400
    assert out.prototypes.shape[2:] == (160, 160)


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(OptionError, match="multiples of 32"):
        LMSFA()(torch.rand(1, 3, 100, 64))
    with pytest.raises(OptionError, match='"bn" or "gn"'):
        create_model("lmsf_a", norm="ln")
    with pytest.raises(OptionError, match="lmsf_a has no 'classes'"):
        create_model("lmsf_a", classes=3)
    with pytest.raises(OptionError, match="one of ema, se, none, and one of yolov8, lqe"):
        create_model("lmsf_a", attention="cbam")
    with pytest.raises(OptionError, match="another head needs lmsh = false"):
        create_model("lmsf_a", head="ladh")
    with pytest.raises(OptionError, match="another attention c2f_pro = true"):
        create_model("lmsf_a", attention="se", c2f_pro=False)
    with pytest.raises(OptionError, match="no network"):
        create_model("yolo")


def test_head_is_shared_between_levels() -> None:
    torch.manual_seed(2)
    network = LMSFA().eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = network(images)
        network.head.shared[0].conv.weight[0, 0, 1, 1] += 5
        after = network(images)
    for stride in (8, 16, 32):
        level = before.strides_px == stride
        assert not torch.equal(before.boxes[..., level], after.boxes[..., level])
    assert torch.equal(before.mask_coefficients, after.mask_coefficients)
    out = network(images)
    weight = network.head.shared[0].conv.weight
    parts = [
        torch.autograd.grad(
            out.class_logits[..., out.strides_px == s].sum(), weight, retain_graph=True
        )[0]
        for s in (8, 16, 32)
    ]
    whole = torch.autograd.grad(out.class_logits.sum(), weight)[0]
    assert all(part.abs().max() > 0 for part in parts)
    assert torch.allclose(sum(parts), whole, atol=1e-3, rtol=1e-3)


def test_a_picture_does_not_depend_on_its_batch_mates() -> None:
    torch.manual_seed(3)
    network = LMSFA().eval()
    a, b = torch.rand(2, 1, 3, 64, 96)
    with torch.no_grad():
        alone, together = network(a), network(torch.cat((a, b)))
    for x, y in zip(alone[:4], together[:4], strict=True):
        assert torch.allclose(x[0], y[0], atol=1e-4)
    features = [torch.rand(2, c, 8 // s, 12 // s) for c, s in ((64, 1), (128, 2), (256, 4))]
    head = network.head.train()
    with torch.no_grad():
        pair, single = head(features), head([f[:1] for f in features])
    for two, one in zip(pair.class_logits, single.class_logits, strict=True):
        assert torch.allclose(two[:1], one, atol=1e-5)
    for two, one in zip(pair.boxes, single.boxes, strict=True):
        assert torch.allclose(two[:1], one, atol=1e-5)


@pytest.mark.parametrize("width", [0.125, 0.5])
@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_other_widths_and_norms_run_and_fuse(width: float, norm: str) -> None:
    network = create_model("lmsf_a", num_classes=2, width=width, depth=0.67, norm=norm).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert largest_difference(network(images), network.fuse()(images)) < 1e-4
    assert count(network) != count(LMSFA(num_classes=2))


@pytest.mark.parametrize("head", ["lqe", "efficient", "ladh"])
@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_other_heads_answer_fold_and_learn_everywhere(head: str, norm: str) -> None:
    torch.manual_seed(6)
    network = create_model(
        "lmsf_a", num_classes=3, width=0.125, c2f_pro=False, neck=False, lmsh=False, head=head,
        norm=norm,
    )  # fmt: skip
    images = torch.rand(2, 3, 64, 96)
    if head == "lqe":
        for part in network.head.quality:
            nn.init.normal_(part.second.weight)
    out = network(images)
    plain = create_model("lmsf_a", num_classes=3, c2f_pro=False, neck=False, lmsh=False)
    expected = plain.eval()(images)
    assert [x.shape for x in out] == [x.shape for x in expected]
    sum(x.square().sum() for x in out[:4]).backward()
    silent = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert silent == []
    randomise_norms(network)
    network.eval()
    with torch.no_grad():
        assert largest_difference(network(images), network.fuse()(images)) < 1e-4


def test_quality_moves_scores_by_how_sharp_the_box_is() -> None:
    """Zero until learnt; then of the four likeliest bins of each side and their mean."""
    quality = BoxQuality()
    bins = torch.randn(2, 64, 3, 5)
    assert quality(bins).abs().max() == 0
    nn.init.constant_(quality.first.weight, 0)
    nn.init.constant_(quality.first.bias, 0)
    nn.init.constant_(quality.second.weight[:, :1], 1)
    nn.init.constant_(quality.first.weight[:1, :1], 1)
    first_side = bins[:, :16].softmax(1).amax(1)
    assert torch.allclose(quality(bins)[:, 0], first_side, atol=1e-6)


def test_ssff_equals_the_published_volume_form() -> None:
    torch.manual_seed(4)
    ssff = LMSFA().fusion
    maps = [torch.randn(2, c, 16 // s, 24 // s) for c, s in ((64, 1), (128, 2), (256, 4))]
    volume, norm = nn.Conv3d(64, 64, 1), nn.BatchNorm3d(64)
    volume.weight.data = ssff.project.weight.data[..., None]
    volume.bias.data = ssff.project.bias.data

    def published() -> torch.Tensor:
        levels = [ssff.level3(maps[0]), ssff.level4(maps[1]), ssff.level5(maps[2])]
        stack = torch.stack([nn.functional.interpolate(x, size=(16, 24)) for x in levels], 2)
        y = nn.functional.leaky_relu(norm(volume(stack)), 0.1)
        return nn.functional.max_pool3d(y, (3, 1, 1)).squeeze(2)

    assert torch.allclose(ssff(*maps), published(), atol=1e-5)
    assert torch.allclose(ssff.norm.running_var, norm.running_var, atol=1e-5)
    ssff.eval()
    norm.eval()
    assert torch.allclose(ssff(*maps), published(), atol=1e-5)
