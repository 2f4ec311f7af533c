"""The networks this build knows, by name, and trained models by their cards.

The list is explicit, so that a frozen bundle finds the same networks as a checkout. Torch is
imported when a network is built.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from models.card import CARD_FILE, WEIGHTS_FILE, ModelCard, find_card, read_card, write_card
from models.errors import CardError, OptionError

if TYPE_CHECKING:
    import torch
    from torch import nn

SYSTEMS = {
    "lmsf_a": "models.lmsf_a",
    "endomamba": "models.endomamba",
    "rga_net": "models.rga_net",
    "dinov2": "models.dinov2",
    "endoarss": "models.endoarss",
    "pranet": "models.pranet",
    "ms_tcn": "models.ms_tcn",
    "endonet": "models.endonet",
    "sprmamba": "models.sprmamba",
    "supra": "models.supra",
    "surgfutr": "models.surgfutr",
    "surgvlp": "models.surgvlp",
    "videomamba": "models.videomamba",
}
"""System name -> module with `build(**options) -> nn.Module`."""


def list_models() -> tuple[str, ...]:
    """Names that `create_model` takes. Trained models are `models.list_cards()`."""
    return tuple(SYSTEMS)


def create_model(name: str, **options: object) -> nn.Module:
    """Builds a network with fresh weights.

    Args:
        name: one of `list_models()`.
        **options: the network's own options; see its class.

    Returns:
        The network in training mode, on the CPU.

    Raises:
        OptionError: the name or an option is unknown, or a value out of range.
    """
    if name not in SYSTEMS:
        raise OptionError(f'There is no network "{name}"; there are {", ".join(SYSTEMS)}.')
    module = import_module(SYSTEMS[name])
    try:
        return module.build(**options)  # type: ignore[no-any-return]
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise OptionError(f"{name} has no {str(error).rpartition('argument ')[2]}.") from error


def load_model(
    card_or_path: ModelCard | str | Path, device: str | torch.device = "cpu", *folders: Path
) -> nn.Module:
    """Builds a trained model and loads its weights.

    Args:
        card_or_path: a card, the path of one or of its folder, or an installed model's name.
        device: where the network goes.
        *folders: more folders of models in which a name is looked up.

    Returns:
        The network in eval mode, float32, its weights checked against the card.

    Raises:
        CardError: there is no such card, it is damaged, it has no weights, or it names more or
            fewer classes than its network tells apart.
        OptionError: the card names a network or options this build does not have.
        CheckpointError: the weight file is damaged or does not fit.
    """
    from models.checkpoint import load_weights

    card = card_or_path
    if not isinstance(card, ModelCard):
        card = find_card(card, *folders)
    if card.folder is None or not card.weights_sha256:
        raise CardError(f"{card.name} has no weights yet; train it or import them.")
    network = create_model(card.system, **card.options)
    _check_classes(card, network)
    load_weights(network, card.folder / WEIGHTS_FILE, card.weights_sha256)
    return network.eval().to(device)


def _check_classes(card: ModelCard, network: nn.Module) -> None:
    for what, named in (("classes", card.classes), ("activities", card.activities)):
        told = getattr(network, f"num_{what}", None)
        if named and told is not None and told != len(named):
            raise CardError(
                f"The card of {card.name} names {len(named)} {what}, and its network tells {told} "
                f"apart; name every one in {CARD_FILE}, in the network's order."
            )


def save_model(network: nn.Module, card: ModelCard, root: Path, *, half: bool = False) -> ModelCard:
    """Writes a model as `root/<name>/` with its weights and its card.

    Args:
        network: built from the card's system and options.
        card: its parameter count, hash and folder are filled in here.
        root: a folder of models.
        half: weights as float16 on disk, where they survive it.

    Returns:
        The card as written.

    Raises:
        CheckpointError: a weight is not finite.
    """
    from models.checkpoint import save_weights

    folder = root / card.name
    sha256 = save_weights(network, folder / WEIGHTS_FILE, half=half)
    count = sum(p.numel() for p in network.parameters())
    card = replace(card, parameters=count, weights_sha256=sha256, folder=folder)
    write_card(card, folder)
    return card


def install_model(source: Path, root: Path) -> ModelCard:
    """Copies a model folder into a folder of models after checking that it loads.

    Args:
        source: the model's folder, or its card.
        root: a folder of models.

    Raises:
        CardError: the card is damaged, or a model of that name is there already.
        OptionError: the card names a network or options this build does not have.
        CheckpointError: the weight file, or that of its prompts, is damaged or does not fit.
    """
    from models.prompts import read_prompts, write_prompts

    card = read_card(source)
    load_model(card)
    target = root / card.name
    if card.folder is None or target.exists():
        raise CardError(f"A model called {card.name} is installed already; rename one of the two.")
    beside = root / f".{card.name}.part"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    shutil.copyfile(card.folder / WEIGHTS_FILE, beside / WEIGHTS_FILE)
    if prompts := read_prompts(card.folder):
        write_prompts(prompts, beside)
    write_card(card, beside)
    beside.rename(target)
    return replace(card, folder=target)
