"""Teaching EndoMamba phases: the loss, and the loop with it."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.endomamba import EndoMamba
from models.endomamba.training import PhaseLoss
from models.errors import OptionError
from models.training import TrainConfig, Trainer

TINY = {"width": 16, "depth": 2, "image_size": 16, "patch_size": 8, "num_classes": 3}


def random_batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    return torch.randn(2, 5, 4, requires_grad=True), torch.randint(0, 4, (2, 5))


def test_the_loss_is_cross_entropy() -> None:
    logits, labels = random_batch()
    loss, parts = PhaseLoss(label_smoothing=0.1)(logits, labels)
    expected = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=0.1)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(parts["phase"], expected.detach())
    assert parts["accuracy"] == (logits.argmax(-1) == labels).float().mean()


def test_class_weights_weigh_as_in_torch() -> None:
    logits, labels = random_batch()
    weights = [0.5, 2.0, 0.0, 1.0]
    loss, _ = PhaseLoss(label_smoothing=0.0, class_weights=weights)(logits, labels)
    expected = functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), torch.tensor(weights)
    )
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("ignore_index", [-1, 255])
@pytest.mark.parametrize("class_weights", [None, (1.0, 2.0, 3.0, 4.0)])
def test_unlabelled_frames_take_no_part(
    ignore_index: int, class_weights: tuple[float, ...] | None
) -> None:
    logits, labels = random_batch()
    loss = PhaseLoss(ignore_index=ignore_index, class_weights=class_weights)
    expected, expected_parts = loss(logits[:, :3], labels[:, :3])
    labels[:, 3:] = ignore_index
    found, parts = loss(logits, labels)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(parts["accuracy"], expected_parts["accuracy"])


def test_a_clip_without_labels_teaches_nothing() -> None:
    logits, labels = random_batch()
    loss, parts = PhaseLoss()(logits, torch.full_like(labels, -1))
    loss.backward()
    assert loss.item() == 0
    assert parts["accuracy"] == 0
    assert logits.grad.abs().max() == 0


def test_restlessness_is_the_truncated_change_of_log_probabilities() -> None:
    steady = torch.zeros(1, 3, 2)
    jump = torch.tensor([[[0.0, 0.0], [0.0, 100.0], [0.0, 100.0]]])
    labels = torch.zeros(1, 3, dtype=torch.int64)
    loss = PhaseLoss(smoothness=1.0)
    assert loss(steady, labels)[1]["smoothness"] == 0
    # one of two changes: log-probabilities go from -ln 2 to -100 (capped at 4) and to 0
    expected = (16 + math.log(2) ** 2) / 4
    assert loss(jump, labels)[1]["smoothness"].item() == pytest.approx(expected, rel=1e-5)
    half = PhaseLoss(smoothness=0.5)
    assert half(jump, labels)[0] == pytest.approx(
        (loss(jump, labels)[0] - 0.5 * expected).item(), rel=1e-5
    )


@pytest.mark.parametrize(
    "options",
    [{"label_smoothing": 1.0}, {"class_weights": (1.0, -1.0)}, {"smoothness": -0.1}],
)
def test_losses_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        PhaseLoss(**options)


def moving_patches(first: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Clips whose class is the place of the bright patch one frame ago, else unlabelled."""
    step = first
    while True:
        generator = torch.Generator().manual_seed(step)
        place = torch.randint(0, 3, (8, 6), generator=generator)
        clip = torch.zeros(8, 3, 6, 2, 8, 2, 8)
        for value in range(3):
            clip[:, :, :, value // 2, :, value % 2] = (place == value).float()[
                :, None, :, None, None
            ]
        labels = torch.full_like(place, -1)
        labels[:, 1:] = place[:, :-1]
        yield clip.reshape(8, 3, 6, 16, 16), labels
        step += 1


def test_the_loop_teaches_it_to_remember() -> None:
    torch.manual_seed(0)
    network = EndoMamba(**TINY, drop_path=0.0)
    config = TrainConfig(
        steps=150, learning_rate=0.01, warmup_steps=10, average_decay=0, precision="fp32",
        weight_decay=0.0, report_every=50,
    )  # fmt: skip
    reports = []
    result = Trainer(network, config).run(
        moving_patches, PhaseLoss(label_smoothing=0.0), on_progress=reports.append
    )
    assert result.ended == "done"
    # without memory of the frame before the best answer is right one time in three
    assert reports[0].loss > 0.5
    assert reports[-1].parts["accuracy"] > 0.9
