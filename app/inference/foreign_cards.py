"""Cards of models that were imported from their authors' files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.core.errors import BadInput
from app.core.prediction import ACTIVITIES, PHASES, RETRIEVAL, SEGMENTATION
from app.core.taxonomy import find_taxonomy
from models.card import BACKBONE, ModelCard, ModelClass, Training

_CHOLEC80_TOOLS = (
    "grasper", "bipolar", "hook", "scissors", "clipper", "irrigator", "specimen_bag",
)  # fmt: skip

_FEATURE_PATCHES = 16
_CLIPS = "classification"

if TYPE_CHECKING:
    from models.foreign import ConversionReport


def endomamba_card(
    name: str,
    options: dict[str, Any],
    report: ConversionReport,
    procedure: str,
    named: Sequence[str] = (),
) -> ModelCard:
    """The card of an EndoMamba: a phase model, one of areas or of activities, or a backbone.

    Args:
        name: the model's.
        options: the network's.
        report: what became of the file.
        procedure: whose phases a phase head names.
        named: classes of a head of areas or of clips, in order.

    Raises:
        BadInput: the head tells more or fewer phases or classes apart than were named.
    """
    from models.endomamba import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIZES

    sizes = {size: label for label, size in SIZES.items()}
    size = sizes.get((options["width"], options["depth"]), f"of width {options['width']}")
    head, count = options.get("head", ""), options["num_classes"]
    has_phases = "head.weight" in report.loaded and not head
    classes = _phases_of(procedure, count) if has_phases else ()
    activities: tuple[ModelClass, ...] = ()
    task, kind = (PHASES, "phases") if has_phases else (BACKBONE, "backbone")
    if head == "segmentation":
        task, kind = ACTIVITIES, "areas"
        some = ("Background", *(f"Area {i}" for i in range(1, count)))
        classes = _named(named or some, count)
    elif head == _CLIPS:
        task, kind = ACTIVITIES, "activities"
        activities = _named(named, count)
    elif named:
        raise BadInput(f"{name} has no head whose classes could be named; leave --classes out.")
    return ModelCard(
        name=name,
        title=f"EndoMamba {size}, {kind}",
        system="endomamba",
        options=options,
        task=task,
        classes=classes,
        activities=activities,
        procedures=(procedure,) if has_phases else (),
        licence="not stated for the weights; EndoMamba's code is under Apache-2.0",
        input_size_px=(options["image_size"], options["image_size"]),
        mean_rgb=IMAGE_MEAN_RGB,
        std_rgb=IMAGE_STD_RGB,
        frames_per_second=0.0 if kind == "areas" else 1.0,
        limits=_endomamba_limits(report, kind),
        **_made(report),
    )


def _endomamba_limits(report: ConversionReport, kind: str) -> str:
    if kind == "phases":
        return "Imported; nothing was measured here. Its phases are named in the file's order."
    if kind == "areas":
        return (
            "Imported; nothing was measured here, and the file does not name its areas. It looks "
            "at recordings, not live, and was trained on short clips."
        )
    if kind == "activities":
        return (
            "Imported; nothing was measured here. It was trained to name whole clips of 8 frames, "
            "and names each second from its frame and those before."
        )
    if report.layout == "localisation":
        return "It says where things are, which Trocar does not show; it answers from Python alone."
    if any(n.endswith("head.bias") for n in report.unexpected) and report.layout == _CLIPS:
        return (
            "A backbone: its head, which names a whole clip by its class tokens, was left out "
            "(--classes keeps it); it names no phases until it is trained to."
        )
    lost = [n for n in ("cls_token", "pos_embed") if n in report.missing]
    fresh = f" Not in the file, hence untrained: {', '.join(lost)}." if lost else ""
    return f"A backbone without a phase head: it names no phases until it is trained to.{fresh}"


def _named(names: Sequence[str], count: int) -> tuple[ModelClass, ...]:
    """Classes with keys made of their names.

    Raises:
        BadInput: there are more or fewer than the file tells apart, or one has no letters.
    """
    if len(names) != count:
        raise BadInput(f"The file tells {count} classes apart, --classes names {len(names)}.")
    keys = [re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in names]
    if not all(keys) or len(set(keys)) < count:
        raise BadInput("Give each of --classes a name of its own, in Latin letters or digits.")
    return tuple(ModelClass(key=k, name=n) for k, n in zip(keys, names, strict=True))


def _phases_of(procedure: str, count: int) -> tuple[ModelClass, ...]:
    """The procedure's phases as a model's classes.

    Raises:
        BadInput: there are more or fewer than the file tells apart.
    """
    phases = find_taxonomy(procedure).phases
    if len(phases) != count:
        raise BadInput(
            f"The file tells {count} phases apart, the procedure “{procedure}” "
            f"has {len(phases)}; name its procedure with --procedure."
        )
    return tuple(ModelClass(key=p.key, name=p.name) for p in phases)


def features_card(
    name: str,
    system: str,
    options: dict[str, Any],
    report: ConversionReport,
    procedure: str,
    features_of: str,
) -> ModelCard:
    """The card of a network that names phases from frame features: MS-TCN or SPRMamba.

    Raises:
        BadInput: nobody said whose features, or the phases are more or fewer than the procedure's.
    """
    title, causal = {"ms_tcn": ("MS-TCN (TeCNO)", True), "sprmamba": ("SPRMamba", False)}[system]
    if not features_of:
        raise BadInput(
            f"{name} reads {options['in_features']} features of a frame in place of pictures; name "
            "the model that makes them with --features-of."
        )
    ahead = "" if causal else " It looks ahead, hence labels recordings and never a live picture."
    return ModelCard(
        name=name,
        title=f"{title}, phases",
        system=system,
        options=options,
        task=PHASES,
        classes=_phases_of(procedure, options["num_classes"]),
        procedures=(procedure,),
        licence="not stated in the file",
        causal=causal,
        features_of=features_of,
        frames_per_second=1.0,
        limits="Imported; nothing was measured here. Its phases are named in the file's order, and "
        f"it is worth nothing on features of another encoder than it was trained on.{ahead}",
        **_made(report),
    )


def endonet_card(name: str, options: dict[str, Any], report: ConversionReport) -> ModelCard:
    """The card of a ResNet-50 that makes frame features; one that came with a head of Cholec80's
    seven tools tells those of them that are there."""
    from models.endonet import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIDE_PX

    licences = {"vissl": "not stated in the file; SelfSupSurg's weights are under CC BY-NC-SA 4.0"}
    tells = options.get("num_tools") == len(_CHOLEC80_TOOLS)
    named = find_taxonomy("cholecystectomy").instrument_name
    tools = tuple(ModelClass(key=k, name=named(k)) for k in _CHOLEC80_TOOLS if tells)
    said = " It tells tools, in the order in which Cholec80 has them." if tells else ""
    return ModelCard(
        name=name,
        title=f"ResNet-50, frame features ({report.layout})",
        system="endonet",
        options=options,
        task=BACKBONE,
        classes=(),
        tools=tools,
        licence=licences.get(report.layout, "not stated in the file"),
        input_size_px=(SIDE_PX, SIDE_PX),
        mean_rgb=IMAGE_MEAN_RGB,
        std_rgb=IMAGE_STD_RGB,
        frames_per_second=1.0,
        limits="It makes features of frames, which MS-TCN and SPRMamba read. Its own MS-TCN is "
        f"untrained, so that it names no phases by itself.{said}",
        **_made(report),
    )


def surgvlp_card(name: str, options: dict[str, Any], report: ConversionReport) -> ModelCard:
    """The card of an image tower of SurgVLP's family."""
    from models.surgvlp import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIDE_PX

    return ModelCard(
        name=name,
        title="SurgVLP, finds pictures by example and by prompts",
        system="surgvlp",
        options=options,
        task=RETRIEVAL,
        classes=(),
        picture="colour video of laparoscopy",
        licence="not stated in the file; the public weights of SurgVLP, HecVL and PeskaVLP are "
        "under CC BY-NC-SA 4.0",
        input_size_px=(SIDE_PX, SIDE_PX),
        mean_rgb=IMAGE_MEAN_RGB,
        std_rgb=IMAGE_STD_RGB,
        frames_per_second=1.0,
        limits="Imported; nothing was measured here. It sees the middle of the picture alone. It "
        "has no text tower: it knows the prompts whose vectors were imported with it.",
        **_made(report),
    )


def dinov2_card(name: str, options: dict[str, Any], report: ConversionReport) -> ModelCard:
    """The card of a DINOv2 encoder: it makes frame features, and EndoARSS adapts it."""
    from models.dinov2 import IMAGE_MEAN_RGB, IMAGE_STD_RGB, SIZES

    sizes = {(w, d): f"ViT-{label.upper()}" for label, (w, d, _) in SIZES.items()}
    size = sizes.get((options["width"], options["depth"]), f"of width {options['width']}")
    registers = f" with {options['registers']} registers" if options["registers"] else ""
    # 224 pixels with the official patches: the position table of 518 px is resized to it.
    side_px = min(options["image_size"], _FEATURE_PATCHES * options["patch_size"])
    return ModelCard(
        name=name,
        title=f"DINOv2 {size}{registers}, frame features",
        system="dinov2",
        options=options,
        task=BACKBONE,
        classes=(),
        licence="not stated in the file; DINOv2's code and official weights are under Apache-2.0",
        input_size_px=(side_px, side_px),
        mean_rgb=IMAGE_MEAN_RGB,
        std_rgb=IMAGE_STD_RGB,
        frames_per_second=1.0,
        limits="It makes features of frames (the class token), which MS-TCN and SPRMamba read, and "
        "names and outlines nothing until EndoARSS is trained on it.",
        **_made(report),
    )


def videomamba_card(name: str, options: dict[str, Any], report: ConversionReport) -> ModelCard:
    """The card of a VideoMamba, a teacher for EndoMamba's pre-training."""
    from models.endomamba import IMAGE_MEAN_RGB, IMAGE_STD_RGB
    from models.videomamba.network import SIZES

    sizes = {size: label for label, size in SIZES.items()}
    size = sizes.get((options["width"], options["depth"]), f"of width {options['width']}")
    return ModelCard(
        name=name,
        title=f"VideoMamba {size}, teacher",
        system="videomamba",
        options=options,
        task=BACKBONE,
        classes=(),
        licence="not stated in the file; VideoMamba's code and released weights are under "
        "Apache-2.0",
        causal=False,
        input_size_px=(options["image_size"], options["image_size"]),
        mean_rgb=IMAGE_MEAN_RGB,
        std_rgb=IMAGE_STD_RGB,
        limits="A teacher for “trocar pretrain --teacher”: it names and outlines nothing.",
        **_made(report),
    )


def pranet_card(name: str, report: ConversionReport) -> ModelCard:
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
        limits=made_for
        if whole
        else "A backbone whose decoder is untrained: it marks nothing until PraNet is trained.",
        **_made(report),
    )


def _made(report: ConversionReport) -> dict[str, Any]:
    """Where every imported model comes from, and when it became one."""
    return {
        "trained": Training(data=f"not by Trocar; imported from a {report.layout} file"),
        "created": datetime.now(UTC).date().isoformat(),
    }
