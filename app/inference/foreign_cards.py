"""Cards of models that were imported from their authors' files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.core.errors import BadInput
from app.core.prediction import PHASES, SEGMENTATION
from app.core.taxonomy import find_taxonomy
from models.card import BACKBONE, ModelCard, ModelClass, Training

if TYPE_CHECKING:
    from models.dinov2.convert import ConversionReport as EncoderReport
    from models.endomamba.convert import ConversionReport as PhaseReport
    from models.pranet.convert import ConversionReport as MapReport


def endomamba_card(
    name: str, options: dict[str, Any], report: PhaseReport, procedure: str
) -> ModelCard:
    """The card of an EndoMamba: a phase model, or a backbone where the file has no head.

    Raises:
        BadInput: the head tells more or fewer phases apart than the procedure has.
    """
    from models.endomamba import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIZES

    sizes = {size: label for label, size in SIZES.items()}
    size = sizes.get((options["width"], options["depth"]), f"of width {options['width']}")
    has_head = "head.weight" in report.loaded
    phases = find_taxonomy(procedure).phases if has_head else ()
    if has_head and len(phases) != options["num_classes"]:
        raise BadInput(
            f"The file tells {options['num_classes']} phases apart, the procedure “{procedure}” "
            f"has {len(phases)}; name its procedure with --procedure."
        )
    return ModelCard(
        name=name,
        title=f"EndoMamba {size}, {'phases' if has_head else 'backbone'}",
        system="endomamba",
        options=options,
        task=PHASES if has_head else BACKBONE,
        classes=tuple(ModelClass(key=p.key, name=p.name) for p in phases),
        procedures=(procedure,) if has_head else (),
        licence="not stated for the weights; EndoMamba's code is under Apache-2.0",
        input_size_px=(options["image_size"], options["image_size"]),
        mean_rgb=IMAGE_MEAN_RGB,
        std_rgb=IMAGE_STD_RGB,
        frames_per_second=1.0,
        trained=Training(data=f"not by Trocar; imported from a {report.layout} file"),
        limits=_endomamba_limits(report, has_head),
        created=datetime.now(UTC).date().isoformat(),
    )


def _endomamba_limits(report: PhaseReport, has_head: bool) -> str:
    if has_head:
        return "Imported; nothing was measured here. Its phases are named in the file's order."
    lost = [n for n in ("cls_token", "pos_embed") if n in report.missing]
    fresh = f" Not in the file, hence untrained: {', '.join(lost)}." if lost else ""
    return f"A backbone without a phase head: it names no phases until it is trained to.{fresh}"


def dinov2_card(name: str, options: dict[str, Any], report: EncoderReport) -> ModelCard:
    """The card of a DINOv2 encoder, a backbone for EndoARSS."""
    from models.dinov2 import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIZES

    sizes = {(w, d): f"ViT-{label.upper()}" for label, (w, d, _) in SIZES.items()}
    size = sizes.get((options["width"], options["depth"]), f"of width {options['width']}")
    registers = f" with {options['registers']} registers" if options["registers"] else ""
    return ModelCard(
        name=name,
        title=f"DINOv2 {size}{registers}, backbone",
        system="dinov2",
        options=options,
        task=BACKBONE,
        classes=(),
        licence="not stated in the file; DINOv2's code and official weights are under Apache-2.0",
        input_size_px=(options["image_size"], options["image_size"]),
        mean_rgb=IMAGE_MEAN_RGB,
        std_rgb=IMAGE_STD_RGB,
        trained=Training(data=f"not by Trocar; imported from a file of the {report.layout} layout"),
        limits="A backbone: it names and outlines nothing until EndoARSS is trained on it.",
        created=datetime.now(UTC).date().isoformat(),
    )


def pranet_card(name: str, report: MapReport) -> ModelCard:
    """The card of a PraNet: a polyp model, or a backbone where the file is its encoder alone."""
    from models.pranet import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIDE_PX

    whole = report.layout == "pranet"
    made_for = "Imported; nothing was measured here. It marks polyps, each connected part as one."
    return ModelCard(
        name=name,
        title="PraNet, polyps" if whole else "Res2Net-50, backbone of PraNet",
        system="pranet",
        task=SEGMENTATION if whole else BACKBONE,
        classes=(ModelClass(key="polyp", name="Polyp"),) if whole else (),
        procedures=("colonoscopy",) if whole else (),
        picture="colour video of colonoscopy" if whole else "",
        licence="not stated in the file; PraNet's authors allow research and education alone"
        if whole
        else "not stated in the file",
        input_size_px=(SIDE_PX, SIDE_PX),
        mean_rgb=IMAGE_MEAN_RGB,
        std_rgb=IMAGE_STD_RGB,
        thresholds={"score": 0.5} if whole else {},
        trained=Training(data=f"not by Trocar; imported from a {report.layout} file"),
        limits=made_for
        if whole
        else "A backbone whose decoder is untrained: it marks nothing until PraNet is trained.",
        created=datetime.now(UTC).date().isoformat(),
    )
