"""EndoMamba's pre-training: what is hidden, what is to be guessed, what the teacher asks for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from models import create_model
from models.endomamba import IMAGE_MEAN_RGB, IMAGE_STD_RGB, PretrainingEndoMamba
from models.endomamba.convert import convert
from models.endomamba.pretraining import (
    Mask,
    PretrainingLoss,
    patch_targets,
    picked,
    tube_mask,
)
from models.errors import ModelError, OptionError
from models.training import TrainConfig, Trainer

TINY = {"width": 16, "depth": 4, "image_size": 32, "patch_size": 8}


def tiny(**options: object) -> PretrainingEndoMamba:
    torch.manual_seed(0)
    return PretrainingEndoMamba(**{**TINY, **options})


def test_three_patches_in_four_are_hidden_in_the_same_places_of_every_frame() -> None:
    mask = tube_mask(3, 196, generator=torch.Generator().manual_seed(1))
    assert (mask.visible.shape, mask.hidden.shape) == ((3, 49), (3, 147))
    for visible, hidden in zip(*mask, strict=True):
        assert sorted([*visible.tolist(), *hidden.tolist()]) == list(range(196))
        assert torch.equal(visible, visible.sort().values)
    assert not torch.equal(mask.hidden[0], mask.hidden[1])
    x = torch.arange(2 * 5 * 4.0).reshape(1, 2, 5, 4)
    places = torch.tensor([[1, 4]])
    assert torch.equal(picked(x, places), x[:, :, [1, 4]])


def test_names_and_shapes_are_those_of_the_released_file() -> None:
    with torch.device("meta"):
        network = create_model("endomamba", head="pretraining", size="small")
        whole = create_model("endomamba", size="small", head="none")
    shapes = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    encoder = {f"encoder.{k}": tuple(v.shape) for k, v in whole.state_dict().items()}
    del encoder["encoder.cls_token"]
    encoder["encoder.pos_embed"] = (1, 196, 384)
    assert {k: v for k, v in shapes.items() if k.startswith("encoder.")} == encoder
    assert shapes["encoder_to_decoder.weight"] == (192, 384)
    assert "encoder_to_decoder.bias" not in shapes
    assert shapes["mask_token"] == (1, 1, 192)
    assert shapes["decoder.head.weight"] == (768, 192)
    assert len(network.decoder.blocks) == 4
    assert network.decoder.blocks[0].heads == 3
    with torch.device("meta"):
        others = [create_model("endomamba", head="pretraining", size=s) for s in ("tiny", "middle")]
    found = [(n.mask_token.shape[2], n.decoder.blocks[0].heads) for n in others]
    assert found == [(128, 3), (384, 6)]


def test_what_is_hidden_cannot_be_seen() -> None:
    network, mask = tiny().eval(), Mask(torch.tensor([[0, 5]]), torch.tensor([[*range(1, 5)]]))
    clip = torch.randn(1, 3, 3, 32, 32)
    with torch.no_grad():
        first = network(clip, mask)
        changed = clip.clone()
        changed[..., 0:8, 8:32] += 7.0  # patches 1 to 3
        changed[..., 8:16, 0:8] += 7.0  # patch 4
        again = network(changed, mask)
        assert torch.equal(first.pixels, again.pixels)
        assert torch.equal(first.tokens, again.tokens)
        changed[..., 8:16, 8:16] += 7.0  # patch 5
        assert not torch.allclose(first.pixels, network(changed, mask).pixels, atol=1e-4)
    assert first.pixels.shape == (1, 3, 4, 192)
    assert first.tokens.shape == (1, 3, 2, 16)


def test_the_encoder_is_causal_and_reads_frames_both_ways() -> None:
    encoder, seen = tiny().eval().encoder, torch.tensor([[0, 6, 9]])
    clip = torch.randn(1, 3, 3, 32, 32)
    later = clip.clone()
    later[:, :, 2] = 0
    last_patch = clip.clone()
    last_patch[:, :, 0, 16:24, 8:16] += 3  # patch 9, seen after 0 and 6
    with torch.no_grad():
        tokens = encoder(clip, seen)
        assert torch.equal(tokens[:, :2], encoder(later, seen)[:, :2])
        assert not torch.allclose(tokens[:, 0, 0], encoder(last_patch, seen)[:, 0, 0], atol=1e-5)


def test_targets_are_standardised_in_each_patch_and_channel() -> None:
    rgb = torch.rand(1, 3, 2, 4, 4, dtype=torch.float64)
    rgb[:, :, 1, :2, :2] = 0.5  # a patch without detail
    mean, std = (torch.tensor(v).view(1, 3, 1, 1, 1) for v in (IMAGE_MEAN_RGB, IMAGE_STD_RGB))
    found = patch_targets((rgb - mean) / std, 2)
    assert found.shape == (1, 2, 4, 12)
    patch = rgb[0, :, 0, 0:2, 2:4].reshape(3, 4)
    wanted = (patch - patch.mean(1, keepdim=True)) / patch.std(1, keepdim=True)
    torch.testing.assert_close(found[0, 0, 1].reshape(4, 3).T, wanted, atol=1e-4, rtol=0)
    assert found[0, 1, 0].abs().max() < 1e-3


class Echo(nn.Module):
    """A teacher that wants tokens of its own."""

    def __init__(self, tokens: Tensor) -> None:
        super().__init__()
        self.tokens = nn.Parameter(tokens)

    def forward(self, clip: Tensor) -> Tensor:
        return self.tokens


def test_the_loss_is_the_error_of_hidden_patches_and_a_quarter_of_the_teachers_distance() -> None:
    network, clip = tiny(), torch.randn(2, 3, 2, 32, 32)
    output = network(clip)
    truth = picked(patch_targets(clip, 8), output.mask.hidden)
    alone, parts = PretrainingLoss(patch_px=8)(output, clip)
    torch.testing.assert_close(alone, (output.pixels - truth).square().mean())
    assert parts.keys() == {"reconstruction"}
    right = output._replace(pixels=truth)
    assert PretrainingLoss(patch_px=8)(right, clip)[0] == 0
    every = torch.randn(2, 2, 16, 16)
    for sign, wanted in ((1.0, 0.0), (-1.0, 2.0)):
        teacher = Echo(every.scatter(2, _places(output), sign * output.tokens.detach()))
        loss, parts = PretrainingLoss(patch_px=8, teacher=teacher)(right, clip)
        torch.testing.assert_close(parts["alignment"], torch.tensor(wanted), atol=1e-5, rtol=0)
        torch.testing.assert_close(loss.detach(), torch.tensor(wanted / 4), atol=1e-5, rtol=0)
    teacher = Echo(every)
    PretrainingLoss(patch_px=8, teacher=teacher)(output, clip)[0].backward()
    assert teacher.tokens.grad is None
    assert not [n for n, p in network.named_parameters() if p.grad is None]


def _places(output: object) -> Tensor:
    return output.mask.visible[:, None, :, None].expand(-1, 2, -1, 16)


def test_a_videomamba_teaches_the_tokens_that_are_seen() -> None:
    torch.manual_seed(3)
    teacher = create_model(
        "videomamba", width=16, depth=2, frames=2, image_size=32, patch_size=8
    ).eval()
    network, clip = tiny(), torch.randn(2, 3, 2, 32, 32)
    output = network(clip)
    loss, parts = PretrainingLoss(patch_px=8, teacher=teacher)(output, clip)
    with torch.no_grad():
        wanted = picked(teacher(clip), output.mask.visible)
        cosine = nn.functional.cosine_similarity(output.tokens, wanted, dim=-1).mean()
    torch.testing.assert_close(parts["alignment"], 1 - cosine)
    torch.testing.assert_close(loss, parts["reconstruction"] + 0.25 * (1 - cosine))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_learns_in_full_where_it_matters(dtype: torch.dtype) -> None:
    network, clip = tiny(drop_path=0.0), torch.randn(2, 3, 2, 32, 32)
    mask = tube_mask(2, 16, generator=torch.Generator().manual_seed(2))
    whole, _ = PretrainingLoss(patch_px=8)(network(clip, mask), clip)
    with torch.autocast("cpu", dtype):
        output = network(clip, mask)
    loss, _ = PretrainingLoss(patch_px=8)(output, clip)
    loss.backward()
    assert output.tokens.dtype == loss.dtype == torch.float32
    torch.testing.assert_close(loss, whole, atol=0.02, rtol=0)
    assert all(p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("keep", [True, False])
def test_what_was_learnt_becomes_a_backbone(keep: bool) -> None:
    source = tiny()
    options, network, report = convert({"model": source.state_dict()}, keep_positions=keep)
    assert report.layout == "pretraining"
    assert (options["image_size"], options["patch_size"]) == (32, 8)
    for name, value in source.encoder.state_dict().items():
        if name != "pos_embed":
            assert torch.equal(network.state_dict()[name], value)
    kept = torch.equal(network.pos_embed[:, 1:], source.encoder.pos_embed)
    assert kept is keep
    assert ("pos_embed" in report.reshaped) is keep


def signed_waves(first: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Clips of a wave that is turned around in half of them: who does not look guesses nothing."""
    wave = torch.sin(6.2832 / 8 * torch.arange(32.0)).expand(1, 3, 2, 32, 32)
    step = first
    while True:
        generator = torch.Generator().manual_seed(step)
        sign = torch.randint(0, 2, (4, 1, 1, 1, 1), generator=generator) * 2.0 - 1.0
        yield wave * sign, wave * sign
        step += 1


def test_the_loop_learns_to_guess_and_goes_on_where_it_was(tmp_path) -> None:
    config = TrainConfig(
        steps=40, learning_rate=5e-3, warmup_steps=5, average_decay=0, precision="fp32",
        report_every=20, save_every=20,
    )  # fmt: skip
    options = {"depth": 2, "decoder_width": 16, "hidden_share": 0.5, "drop_path": 0.0}
    told: list[float] = []
    loss = PretrainingLoss(patch_px=8)
    whole = Trainer(tiny(**options), config).run(
        signed_waves, loss, on_progress=lambda now: told.append(now.loss)
    )
    assert told[0] > 0.5
    assert told[-1] < 0.5 * told[0]
    asked = iter([False] * 20 + [True])
    first = Trainer(tiny(**options), config, tmp_path)
    assert first.run(signed_waves, loss, should_stop=lambda: next(asked)).ended == "cancelled"
    second = Trainer(tiny(**options), config, tmp_path)
    assert second.resume()
    ended = second.run(signed_waves, loss)
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(ended.network.state_dict()[name], value, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "options",
    [{"hidden_share": 0.0}, {"hidden_share": 1.0}, {"decoder_width": 7}, {"decoder_heads": 99}],
)
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        tiny(**options)


def test_a_clip_of_another_size_is_refused() -> None:
    with pytest.raises(ModelError, match="32 x 32"):
        tiny()(torch.zeros(1, 3, 2, 16, 32))
