"""EndoARSS: sizes, starts, isolation of its two tasks, and that it learns.

The acceptance checks of the specification, segmentation-models, section 2.5, by their numbers.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models import create_model, list_models
from models.dinov2 import DinoV2
from models.endoarss import ACTIVITY, AREAS, TASKS, EndoARSS
from models.endoarss.adapters import AdaptedLinear, adapted_layers
from models.endoarss.decoders import AreaDecoder
from models.endoarss.spatial import SpatialAttention, folded, unfolded
from models.endoarss.training import ActivityAreaLoss
from models.errors import OptionError
from models.types import ActivityOutput, ActivityTargets

TINY: dict[str, Any] = {
    "backbone": "",
    "width": 48,
    "depth": 2,
    "heads": 3,
    "image_size": 56,
    "num_classes": 4,
    "num_activities": 3,
    "spatial_width": 8,
    "decoder_width": 16,
    "rates": (1, 2, 3),
}


def tiny(seed: int = 0, **options: Any) -> EndoARSS:
    torch.manual_seed(seed)
    return create_model("endoarss", **{**TINY, **options})


def stirred(network: EndoARSS) -> EndoARSS:
    """With every B of the updates away from zero, as after training."""
    with torch.no_grad():
        for layer in adapted_layers(network.encoder):
            for update in (layer.shared, *layer.tasks.values()):
                update.b.normal_(std=0.2)
        if network.spatial is not None:
            network.spatial.join.weight.normal_(std=0.2)
    return network


def pictures(count: int = 2, height_px: int = 56, width_px: int = 56) -> Tensor:
    return torch.randn(count, 3, height_px, width_px, generator=torch.Generator().manual_seed(7))


def grads(parameters: list[nn.Parameter]) -> float:
    return sum(0.0 if p.grad is None else float(p.grad.abs().sum()) for p in parameters)


def updates(network: EndoARSS, task: str) -> list[nn.Parameter]:
    layers = adapted_layers(network.encoder)
    return [p for layer in layers for p in layer.tasks[task].parameters()]


def shared_updates(network: EndoARSS) -> list[nn.Parameter]:
    return [p for layer in adapted_layers(network.encoder) for p in layer.shared.parameters()]


def frozen(network: EndoARSS) -> list[nn.Parameter]:
    return [p for p in network.encoder.parameters() if not p.requires_grad]


def test_the_counts_of_the_specification() -> None:
    """Check 3, and the released model's variants of section 2.2."""
    with torch.device("meta"):
        network = create_model(
            "endoarss", backbone="vitb14", num_classes=7, num_activities=3, spatial_width=512
        )
        on_mlp = create_model("endoarss", adapt=("fc1", "fc2"), tesla=False, frozen_scales=True)
    alphas = [n for n, _ in network.named_parameters() if n.endswith("alpha")]
    carried = {
        name: p.numel()
        for name, p in network.named_parameters()
        if ".shared." in name or ".tasks." in name
    }
    assert "endoarss" in list_models()
    assert len(alphas) == 24
    assert sum(carried.values()) - len(alphas) == 442_368
    assert sum(p.numel() for p in network.area_decoder.parameters()) == 6_624_519
    assert sum(p.numel() for p in network.spatial.parameters()) == 28_042
    assert sum(p.numel() for p in frozen(network)) == 86_580_480
    released = [layer.shared for layer in adapted_layers(on_mlp.encoder)]
    assert sum(u.a.numel() for u in released) == sum(u.b.numel() for u in released) == 184_320
    assert sum(u.u.numel() for u in released) == 96
    assert sum(u.v.numel() for u in released) == 46_080


def test_the_encoders_names_stay_the_official_ones() -> None:
    network = tiny()
    options = {k: TINY[k] for k in ("width", "depth", "heads", "image_size")}
    plain = DinoV2(**options).state_dict()
    own = network.encoder.state_dict()
    assert plain.keys() < own.keys()
    extra = own.keys() - plain.keys()
    assert all(".shared." in name or ".tasks." in name for name in extra)
    network.encoder.load_state_dict(plain, strict=False)
    assert torch.equal(network.encoder.blocks[1].attn.qkv.weight, plain["blocks.1.attn.qkv.weight"])


@pytest.mark.parametrize("passes", ["joint", "separate"])
@torch.no_grad()
def test_at_first_it_is_the_frozen_encoder(passes: str) -> None:
    """Check 4, first half; SMA starts as the identity."""
    network = tiny(passes=passes).eval()
    plain = DinoV2(width=48, depth=2, heads=3, image_size=56).eval()
    plain.load_state_dict(
        {n: v for n, v in network.encoder.state_dict().items() if n in plain.state_dict()}
    )
    x = pictures(2, 56, 84)
    assert torch.equal(network.spatial(x), x)
    expected = plain(x)
    for tokens in network.encode(x):
        assert torch.allclose(tokens.whole, expected.whole, atol=1e-6)
        assert torch.allclose(tokens.patches, expected.patches, atol=1e-6)


@pytest.mark.parametrize("adapt", [("q", "v"), ("fc1", "fc2"), ("q", "k", "v", "fc1", "fc2")])
@pytest.mark.parametrize("frozen_scales", [False, True])
@torch.no_grad()
def test_merged_weights_answer_as_the_updates_do(
    adapt: tuple[str, ...], frozen_scales: bool
) -> None:
    """Check 4, second half: one plain encoder for each task."""
    network = stirred(tiny(adapt=adapt, frozen_scales=frozen_scales)).eval()
    x = pictures()
    for task, tokens in zip(TASKS, network.encode(x), strict=True):
        merged = network.merged_encoder(task)
        assert not any(isinstance(m, AdaptedLinear) for m in merged.modules())
        answer = merged(network.spatial(x))
        assert torch.allclose(answer.whole, tokens.whole, atol=1e-5)
        assert torch.allclose(answer.patches, tokens.patches, atol=1e-5)
    activity, areas = network.encode(x)
    assert not torch.allclose(activity.whole, areas.whole, atol=1e-2)


@torch.no_grad()
def test_an_update_by_hand() -> None:
    """W' = W + B0 A0 + alpha B A on the query's and the value's rows alone."""
    network = stirred(tiny())
    layer = adapted_layers(network.encoder)[0]
    layer.tasks[AREAS].alpha.fill_(0.5)
    expected = layer.weight.clone()
    own, shared = layer.tasks[AREAS], layer.shared
    for part, rows in ((0, slice(0, 48)), (1, slice(96, 144))):
        expected[rows] += shared.b[part] @ shared.a[part] + 0.5 * own.b[part] @ own.a[part]
    assert torch.allclose(layer.merged(AREAS), expected, atol=1e-6)
    x = torch.randn(2, 5, 48)
    layer.active = (AREAS,)
    assert torch.allclose(layer(x), functional.linear(x, expected, layer.bias), atol=1e-5)


@pytest.mark.parametrize("norm", ["bn", "gn"])
@torch.no_grad()
def test_joint_and_separate_passes_answer_alike(norm: str) -> None:
    joint = stirred(tiny(passes="joint", norm=norm)).eval()
    separate = tiny(passes="separate", norm=norm).eval()
    separate.load_state_dict(joint.state_dict())
    one, two = joint(pictures()), separate(pictures())
    assert torch.allclose(one.activities, two.activities, atol=1e-5)
    assert torch.allclose(one.areas, two.areas, atol=1e-5)
    assert torch.allclose(one.areas, joint.areas(pictures()), atol=1e-5)
    # The task that was asked for last does not stay.
    assert torch.equal(joint(pictures()).activities, one.activities)
    shared = stirred(tiny(tesla=False, norm=norm)).eval()
    assert torch.equal(shared(pictures()).areas, shared.areas(pictures()))


@pytest.mark.parametrize("passes", ["joint", "separate"])
@pytest.mark.parametrize("task", TASKS)
def test_a_tasks_gradient_stays_with_it(passes: str, task: str) -> None:
    """Check 5: and shared updates and SMA get both."""
    network = stirred(tiny(passes=passes))
    output = network(pictures())
    other = AREAS if task == ACTIVITY else ACTIVITY
    (output.activities if task == ACTIVITY else output.areas).square().mean().backward()
    assert grads(updates(network, other)) == 0
    assert grads(network.parameters_of(other)) == 0
    for own in (updates(network, task), shared_updates(network), [*network.spatial.parameters()]):
        assert grads(own) > 0
    assert frozen(network)
    assert all(p.grad is None for p in frozen(network))


def test_a_step_for_one_task_leaves_the_other_bit_identical() -> None:
    """Check 6, with the decay and the momentum of AdamW."""
    network = stirred(tiny())
    optimiser = torch.optim.AdamW((p for p in network.parameters() if p.requires_grad), lr=0.01)
    before = [p.detach().clone() for p in network.parameters_of(AREAS)]
    moved = [p.detach().clone() for p in network.parameters_of(ACTIVITY)]
    for _ in range(2):
        # With separate backward passes, so that the other task's gradients stay None.
        network(pictures()).activities.square().mean().backward()
        for parameter in network.parameters_of(AREAS):
            if parameter.grad is not None and not parameter.grad.any():
                parameter.grad = None
        optimiser.step()
        optimiser.zero_grad()
    pairs = zip(before, network.parameters_of(AREAS), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    changed = zip(moved, network.parameters_of(ACTIVITY), strict=True)
    assert all(not torch.equal(a, b) for a, b in changed)


def test_unfolding_and_folding_is_exact_and_every_pixel_sees_the_whole() -> None:
    """Check 7."""
    x = torch.randn(2, 5, 21, 35)
    y = unfolded(x, 7)
    assert y.shape == (2, 49, 15, 5)
    assert torch.equal(y[1, 8, 6], x[1, :, 7 + 1, 7 + 1])
    assert torch.equal(folded(y, 7, 3), x)
    torch.manual_seed(2)
    attention = SpatialAttention(4).double()
    nn.init.normal_(attention.join.weight)
    nn.init.normal_(attention.attention.norm.bias)
    x = torch.randn(1, 3, 28, 42, dtype=torch.float64)
    changed = x.clone()
    changed[0, 1, 3, 40] += 1.0
    difference = (attention(changed) - attention(x)).abs().sum(1)
    assert difference.shape == (1, 28, 42)
    assert (difference > 0).all()


@torch.no_grad()
def test_a_marked_patch_is_in_its_own_cell_of_what_the_decoder_gets() -> None:
    """Check 9: not tokens as channels. LayerScale near zero keeps attention from mixing."""
    network = tiny(layer_scale=1e-6).eval()
    x = torch.zeros(1, 3, 70, 98)
    marked = x.clone()
    marked[:, :, 42:56, 28:42] = 3.0
    got = []
    network.area_decoder.register_forward_pre_hook(lambda _, given: got.append(given[0]))
    assert network(x).areas.shape == network(marked).areas.shape == (1, 4, 5, 7)
    change = (got[1] - got[0]).abs().amax(1)[0]
    assert (change > 1e-3).nonzero().tolist() == [[3, 2]]


@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_a_batch_of_one_can_be_learnt_from(norm: str) -> None:
    """Check 12: the pooled branch has one value per channel, which BatchNorm cannot take."""
    torch.manual_seed(0)
    decoder = AreaDecoder(48, 16, 4, (1, 2), norm).train()
    out = decoder(torch.randn(1, 48, 4, 4))
    assert torch.isfinite(out).all()
    out.square().mean().backward()
    assert decoder.pool.conv.weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        nn.BatchNorm2d(16)(torch.zeros(1, 16, 1, 1))


def test_the_loss_leaves_out_what_is_unknown() -> None:
    torch.manual_seed(0)
    output = ActivityOutput(activities=torch.randn(2, 3), areas=torch.randn(2, 4, 2, 2))
    areas = torch.randint(0, 4, (2, 8, 8))
    areas[0] = -1
    targets = ActivityTargets(activities=torch.tensor([-1, 2]), areas=areas)
    total, losses = ActivityAreaLoss()(output, targets)
    activity = functional.cross_entropy(output.activities[1:], torch.tensor([2]))
    resized = functional.interpolate(
        output.areas[1:], size=(8, 8), mode="bilinear", align_corners=True
    )
    pixels = functional.cross_entropy(resized, areas[1:])
    assert torch.allclose(losses[ACTIVITY], activity)
    assert torch.allclose(losses[AREAS], pixels)
    assert torch.allclose(total, activity + pixels)
    weighted = ActivityAreaLoss(activity_weight=0.0, areas_weight=2.0, class_weights=(1, 2, 3, 4))
    _, losses = weighted(output, targets)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    expected = 2 * functional.cross_entropy(resized, areas[1:], weights)
    assert losses[ACTIVITY] == 0
    assert torch.allclose(losses[AREAS], expected)
    nothing = ActivityTargets(activities=torch.full((2,), -1), areas=torch.full((2, 8, 8), -1))
    assert ActivityAreaLoss()(output, nothing)[0] == 0


def test_options_out_of_range_are_refused() -> None:
    for wrong, says in (
        ({"adapt": ("q", "out")}, "adapt be of q, k, v, fc1, fc2"),
        ({"rank": -1}, "rank must not be negative"),
        ({"passes": "both"}, '"joint" or "separate"'),
        ({"num_classes": 1}, "at least 2"),
        ({"backbone": "vitb16"}, "vitb16"),
        ({"colour": 3}, "colour"),
    ):
        with pytest.raises(OptionError, match=says):
            tiny(**wrong)


@torch.no_grad()
def test_without_updates_both_tasks_share_one_pass() -> None:
    for options in ({"rank": 0}, {"tesla": False}):
        network = tiny(**options, spatial=False).eval()
        activity, areas = network.encode(pictures())
        assert activity is areas
        assert network(pictures()).areas.shape == (2, 4, 4, 4)


@torch.no_grad()
def test_the_activity_is_told_from_the_token_or_from_the_patches() -> None:
    x = pictures()
    for source, blind in (("token", "patches"), ("patches", "whole")):
        network = stirred(tiny(activity_from=source)).eval()
        activity, _ = network.encode(x)
        said = network.activity_decoder(activity.whole, activity.patches)
        assert torch.equal(said, network(x).activities)
        other = {"whole": activity.whole, "patches": activity.patches}
        other[blind] = torch.randn_like(other[blind])
        assert torch.equal(network.activity_decoder(**other), said)
        seen = {"token": "whole", "patches": "patches"}[source]
        other[seen] = torch.randn_like(other[seen])
        assert not torch.allclose(network.activity_decoder(**other), said)
    with pytest.raises(OptionError, match='"token" or "patches"'):
        tiny(activity_from="both")
