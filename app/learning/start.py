"""Training that starts from a model's weights in place of random ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from app.core.errors import BadInput
from app.core.prediction import ACTIVITIES, PHASES
from app.learning.recipes import Recipe

if TYPE_CHECKING:
    from torch import nn

    from models import ModelCard


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

    from app.inference.cards import load_network, model_errors
    from models import create_model

    encoder = (base.system, recipe.system) == ("dinov2", "endoarss")
    if base.system != recipe.system and not encoder:
        raise BadInput(
            f"{base.name} is a {base.system}, the recipe trains a {recipe.system}; choose another."
        )
    options = {**recipe.options, **base.options, "num_classes": len(recipe.classes)}
    if recipe.task == ACTIVITIES:
        options |= {"num_activities": len(recipe.activities)}
    if encoder:
        options |= {"backbone": ""}
    said = {
        "mean_rgb": base.mean_rgb,
        "std_rgb": base.std_rgb,
        "licence": base.licence,
        "trained_on": f"{recipe.card.get('trained_on', '')} Begun with the weights of {base.name}.",
    }
    plan = replace(
        recipe,
        name=f"{recipe.name}-on-{base.name}"[:80],
        title=f"{recipe.title}, on {base.title}",
        options=options,
        input_size_px=recipe.input_size_px if encoder else base.input_size_px,
        card={**recipe.card, **said},
    )
    # Streams are cut into windows in training; the finished model resets as its card says.
    stateless = {"state_reset": "none"} if recipe.task == PHASES else {}
    torch.manual_seed(int(recipe.train.get("seed", 0)))
    with model_errors():
        network = create_model(recipe.system, **{**options, **stateless})
    own = network.state_dict()
    weights = load_network(base).state_dict()
    if encoder:
        weights = {f"encoder.{name}": value for name, value in weights.items()}
    fitting = {k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}
    network.load_state_dict(fitting, strict=False)
    return plan, network
