"""Training that starts from a model's weights in place of random ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from app.core.errors import BadInput
from app.core.prediction import ACTIVITIES, PHASES
from app.learning.recipes import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models import ModelCard


# What names phases in networks that follow pictures: worth nothing for phases in another order.
_PHASE_HEADS = ("head.", "fc_phase.", "temporal.")
_TOOL_HEADS = ("fc_tool.",)


def backbone_weights(base: ModelCard) -> dict[str, Tensor]:
    """A model's weights; of an EndoMamba that outlines areas, those of the encoder inside.

    Raises:
        BadInput: the weights are missing or damaged.
    """
    from app.inference.cards import load_network

    weights = load_network(base).state_dict()
    if (base.system, base.options.get("head")) != ("endomamba", "segmentation"):
        return weights
    inside = "encoder."
    return {n.removeprefix(inside): v for n, v in weights.items() if n.startswith(inside)}


def head_left_out(base: ModelCard, recipe: Recipe) -> str:
    """The sentence for a phase model whose phases are not the recipe's; "" where they are."""
    if recipe.task != PHASES or base.task != PHASES or base.class_keys == recipe.classes:
        return ""
    return (
        f"{base.name} names other phases ({len(base.classes)}, not {len(recipe.classes)}), so that "
        "its head is learnt anew."
    )


def start_from(base: ModelCard, recipe: Recipe) -> tuple[Recipe, nn.Module]:
    """A recipe on the network of a model, and that network.

    Args:
        base: a model of the recipe's system, such as an imported backbone; for EndoARSS also the
            DINOv2 encoder that it adapts.
        recipe: its classes, batches and settings stay; options and input are the model's, of an
            encoder the options alone.

    Returns:
        The recipe, and the network with every weight of the model that fits: the head only where
        it has as many classes.

    Raises:
        BadInput: the model is of another system, or its weights are damaged.
    """
    import torch

    from app.inference.cards import model_errors
    from models import create_model

    encoder = (base.system, recipe.system) == ("dinov2", "endoarss")
    if base.system != recipe.system and not encoder:
        raise BadInput(
            f"{base.name} is a {base.system}, the recipe trains a {recipe.system}; choose another."
        )
    # An encoder without position rows, or one that is adapted, looks at any size.
    any_size = encoder or recipe.system == "endonet"
    # Whatever an EndoMamba answered with, areas or classes of clips, it is taught phases.
    theirs = {k: v for k, v in base.options.items() if k != "head"}
    options = {**recipe.options, **theirs, "num_classes": len(recipe.classes)}
    if recipe.task == ACTIVITIES:
        options |= {"num_activities": len(recipe.activities)}
    if recipe.tools:
        options |= {"num_tools": len(recipe.tools)}
    if encoder:
        options |= {"backbone": ""}
    said = {
        "mean_rgb": base.mean_rgb,
        "std_rgb": base.std_rgb,
        "licence": base.licence,
        "begun": f"Begun with the weights of {base.name}.",
    }
    plan = replace(
        recipe,
        name=f"{recipe.name}-on-{base.name}"[:80],
        title=f"{recipe.title}, on {base.title}",
        options=options,
        input_size_px=recipe.input_size_px if any_size else base.input_size_px,
        card={**recipe.card, **said},
    )
    # Streams are cut into windows in training; the finished model resets as its card says.
    stateless = {"state_reset": "none"} if recipe.system == "endomamba" else {}
    torch.manual_seed(int(recipe.train.get("seed", 0)))
    with model_errors():
        network = create_model(recipe.system, **{**options, **stateless})
    own = network.state_dict()
    weights = backbone_weights(base)
    if encoder:
        weights = {f"encoder.{name}": value for name, value in weights.items()}
    unlike: tuple[str, ...] = ()
    if recipe.task == PHASES:
        unlike += () if base.class_keys == recipe.classes else _PHASE_HEADS
        unlike += () if base.tool_keys == recipe.tools else _TOOL_HEADS
    fitting = {
        k: v
        for k, v in weights.items()
        if k in own and own[k].shape == v.shape and not k.startswith(unlike)
    }
    network.load_state_dict(fitting, strict=False)
    return plan, network
