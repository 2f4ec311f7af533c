"""ultralytics' YOLOv8n-seg and our layout of it: the same outputs, the same loss and gradients.

Where the user has installed ultralytics; elsewhere there is nothing to compare with.
"""

from __future__ import annotations

import pytest
import torch

from models.losses.instance import InstanceLoss
from models.types import InstanceOutput, InstanceTargets
from tests.benchmarks import peer


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """The peer with statistics of its own in every norm."""
    if reason := peer.why_not():
        pytest.skip(reason)
    from tests.benchmarks.polyps_peer import Peer

    torch.manual_seed(3)
    made = Peer(2)
    with torch.no_grad():
        for _ in range(2):
            made.train()(torch.rand(2, 3, 128, 96))
    return made


def targets() -> InstanceTargets:
    """Two instances, one, and none; the second of the second picture is padding."""
    boxes = torch.zeros(3, 2, 4)
    boxes[0, 0], boxes[0, 1] = torch.tensor([8.0, 8, 60, 90]), torch.tensor([60.0, 40, 92, 120])
    boxes[1, 0] = torch.tensor([4.0, 20, 90, 110])
    masks = torch.zeros(3, 2, 32, 24, dtype=torch.bool)
    for image, place in ((0, 0), (0, 1), (1, 0)):
        x0, y0, x1, y1 = (boxes[image, place] / 4).long()
        masks[image, place, y0 + 1 : y1, x0 : x1 - 1] = True
    return InstanceTargets(
        boxes=boxes,
        classes=torch.tensor([[0, 1], [1, 0], [0, 0]]),
        valid=torch.tensor([[True, True], [True, False], [False, False]]),
        masks=masks,
    )


def test_the_converted_network_gives_the_same_outputs(network: torch.nn.Module) -> None:
    from tests.benchmarks.polyps_peer import converted

    images = torch.rand(2, 3, 96, 160)
    with torch.no_grad():
        theirs, ours = network.eval()(images), converted(network)(images)
    for name, a, b in zip(InstanceOutput._fields, theirs, ours, strict=True):
        assert torch.allclose(a, b, atol=1e-5), name
    assert theirs.class_logits.std() > 0.01  # the norms do something


def test_both_losses_and_their_gradients_agree(network: torch.nn.Module) -> None:
    from tests.benchmarks.polyps_peer import PeerLoss

    images = torch.rand(3, 3, 128, 96)
    network.eval()
    with torch.no_grad():
        whole = network.inner(images)[1]
        plain = network(images)
    names = ("boxes", "scores", "mask_coefficient", "proto")
    theirs = {n: whole[n].clone().requires_grad_() for n in names}
    ours = plain._replace(
        **{
            field: theirs[n].detach().clone().requires_grad_()
            for field, n in zip(InstanceOutput._fields, names, strict=False)
        }
    )
    a, parts = PeerLoss(network)({**whole, **theirs}, targets())
    b, own = InstanceLoss()(ours, targets())
    assert torch.allclose(a, b, rtol=1e-5)
    pairs = {"box_loss": "box", "seg_loss": "mask", "cls_loss": "classify", "dfl_loss": "bins"}
    for name, field in pairs.items():
        assert torch.allclose(parts[name], own[field], rtol=1e-5), name
        assert own[field] > 0
    a.backward()
    b.backward()
    for name, field in zip(names, InstanceOutput._fields, strict=False):
        assert torch.allclose(theirs[name].grad, getattr(ours, field).grad, atol=1e-5), name
