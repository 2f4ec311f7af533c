"""``trocar models``: what can run here, what a model is, whether it is whole; in and out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import JsonOption, LibraryOption, emit, library_folder
from app.cli.tables import table
from app.core.errors import BadInput, EnvironmentProblem
from app.core.prediction import RETRIEVAL

if TYPE_CHECKING:
    from models import ModelCard

NameArgument = Annotated[str, typer.Argument(help="Name or folder of a model.", show_default=False)]

ProcedureOption = Annotated[
    str, typer.Option(help="Whose phases the file's phase head names, in order.")
]
KeepPositionsOption = Annotated[
    bool,
    typer.Option(
        "--keep-positions",
        help="Of a pre-training file, keep the position rows that the released code discards.",
    ),
]
ResetOption = Annotated[
    str,
    typer.Option(
        "--state-reset",
        help="Of EndoMamba: “none” carries one state for ever, “staggered” starts afresh in turns, "
        "as the released test of phases does.  [default: staggered; none with another head]",
        show_default=False,
    ),
]
PositionOption = Annotated[
    str,
    typer.Option(
        "--temporal-position",
        help="Of EndoMamba: “running” numbers the frames, “frozen” gives each the first one's "
        "code, as the released test of phases does.  [default: frozen; running with another head]",
        show_default=False,
    ),
]
FeaturesOption = Annotated[
    str,
    typer.Option(
        help="Of a file of TeCNO or SPRMamba: the installed model whose frame features it reads."
    ),
]
ClassesOption = Annotated[
    str,
    typer.Option(
        help="Of EndoMamba's classification and segmentation files: what the head tells apart, in "
        "order, with commas between; of areas the background first."
    ),
]
PromptsOption = Annotated[
    Path | None,
    typer.Option(
        help="Of a file of SurgVLP, HecVL or PeskaVLP: an .npz or .safetensors with the vector of "
        "each prompt under its words.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(help="Networks, cards and weights.", no_args_is_help=True)
    app.add_typer(group, name="models")

    @group.command("list")
    def list_models(library: LibraryOption = None, as_json: JsonOption = False) -> None:
        """List the models that are installed, and those in the library."""
        from app.inference.cards import model_cards

        problems: list[str] = []
        cards = model_cards(library_folder(library), problems)
        for sentence in problems:
            typer.echo(sentence, err=True)
        lines = [f"{c.name}  {c.title}  ({c.task}{', demo' if c.demo else ''})" for c in cards]
        text = "\n".join(lines) or "No model is installed."
        emit([c.as_json() for c in cards], as_json=as_json, text=text)

    @group.command("show")
    def show(
        name: NameArgument, library: LibraryOption = None, as_json: JsonOption = False
    ) -> None:
        """Show a model's card: what it was made from and for, and where it fails."""
        from app.inference.cards import find_model

        card = find_model(name, library_folder(library))
        emit(card_json(card), as_json=as_json, text=card_words(card))

    @group.command("check")
    def check(
        name: NameArgument, library: LibraryOption = None, as_json: JsonOption = False
    ) -> None:
        """Check a model's weights against its card and run it on one picture."""
        from app.inference.cards import find_model, load_network
        from app.inference.trial import trial_ms
        from models.card import BACKBONE

        card = find_model(name, library_folder(library))
        found: dict[str, Any] = {
            "name": card.name,
            "ok": True,
            "weights_sha256": card.weights_sha256,
            "parameters": card.parameters,
        }
        text = f"{card.name} is whole: its weights are those of its card"
        if card.task == BACKBONE:
            load_network(card)
            emit(found, as_json=as_json, text=f"{text}. A backbone does not run by itself.")
            return
        milliseconds, device = trial_ms(card)
        found |= {"device": device.device, "ms_per_frame": milliseconds}
        text = f"{text}, and it runs ({milliseconds:.0f} ms a frame on {device.name})."
        emit(found, as_json=as_json, text=text)

    group.command("table")(table)

    @group.command("import")
    def import_model(
        source: Annotated[
            Path,
            typer.Argument(
                help="Folder with card.toml and weights, or a .pth, .ckpt, .torch or .safetensors "
                "file of EndoMamba, DINOv2, PraNet or its Res2Net, a ResNet-50 (ImageNet's, "
                "SelfSupSurg's), SurgVLP's family, TeCNO, SPRMamba or "
                "VideoMamba.",
                show_default=False,
            ),
        ],
        procedure: ProcedureOption = "hysterectomy",
        keep_positions: KeepPositionsOption = False,
        state_reset: ResetOption = "",
        temporal_position: PositionOption = "",
        features_of: FeaturesOption = "",
        prompts: PromptsOption = None,
        classes: ClassesOption = "",
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Check a model and copy it into the library; convert one that its authors released."""
        import models
        from app.inference.cards import find_model, model_errors, model_folder
        from app.inference.foreign import SUFFIXES, import_released
        from models.card import CARD_FILE

        if not source.exists():
            raise BadInput(f"There is no {source}; name a model's folder, or a file of weights.")
        root = model_folder(library_folder(library))
        source = source.resolve()
        weights = source.is_file() and source.suffix.lower() in SUFFIXES
        card_file = source / CARD_FILE if source.is_dir() else source
        if not weights and (card_file.name != CARD_FILE or not card_file.is_file()):
            raise BadInput(
                f"{source.name} is no model; name a folder with {CARD_FILE} in it, or a file of "
                f"weights ({', '.join(SUFFIXES)})."
            )
        with model_errors(), disk_errors(f"{source.name} cannot be imported"):
            if not weights:
                if prompts is not None:
                    raise BadInput("Give --prompts with a file of weights, not with a folder.")
                card = models.install_model(source, root)
                text = f"{card.name} is installed and can be chosen."
                emit(card.as_json(), as_json=as_json, text=text)
                return
            card, report = import_released(
                source,
                root,
                procedure=procedure,
                keep_positions=keep_positions,
                state_reset=state_reset,
                temporal_position=temporal_position,
                features_of=find_model(features_of, root.parent) if features_of else None,
                prompts=prompts,
                classes=_split(classes),
            )
        found = {**card.as_json(), "conversion": report}
        emit(found, as_json=as_json, text=conversion_words(card, report))

    @group.command("convert", hidden=True)
    def convert_model(
        file: Path,
        root: Path,
        procedure: ProcedureOption = "hysterectomy",
        keep_positions: KeepPositionsOption = False,
        state_reset: ResetOption = "",
        temporal_position: PositionOption = "",
        features_of: FeaturesOption = "",
        prompts: PromptsOption = None,
        classes: ClassesOption = "",
    ) -> None:
        """The child process of an import."""
        from app.inference.foreign import convert

        report = convert(
            file,
            root,
            procedure=procedure,
            keep_positions=keep_positions,
            state_reset=state_reset,
            temporal_position=temporal_position,
            features_of=features_of,
            prompts=prompts,
            classes=_split(classes),
        )
        emit(report, as_json=True)

    @group.command("export")
    def export_model(
        name: NameArgument,
        out: Annotated[Path, typer.Option(help="Folder to make.", show_default=False)],
        library: LibraryOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Check a model and copy its folder to where another computer can import it."""
        import models
        from app.inference.cards import find_model, model_errors

        card = find_model(name, library_folder(library))
        with model_errors(), disk_errors(f"{card.name} cannot be exported to {out}"):
            written = models.install_model(card.folder or Path(name), out)
        where = written.folder or out
        emit(
            {"name": card.name, "folder": str(where)},
            as_json=as_json,
            text=f"{card.name} is in {where}; “trocar models import” reads it.",
        )


def _split(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",")) if names.strip() else ()


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Errors of the file system inside become one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise BadInput(f"{what}: the file {error.filename} is missing.") from error
    except OSError as error:
        raise EnvironmentProblem(
            f"{what} ({error.strerror}); check the disk.", str(error)
        ) from error


def conversion_words(card: ModelCard, report: Mapping[str, Any]) -> str:
    """What an import made of a released file, for people."""
    lines = [f"{card.name} is installed: {card.title}, {card.parameters:,} parameters."]
    taken, left = len(report["loaded"]), len(report["unexpected"])
    lines.append(f"Its layout: {report['layout']}; {taken} tensors were taken, {left} left out.")
    if card.task == RETRIEVAL:
        lines.append(_prompt_words(card, report))
    elif card.classes or card.activities:
        names = ", ".join(c.name for c in (*card.activities, *card.classes))
        lines.append(f"It can be chosen; its outputs are taken for these classes: {names}.")
    else:
        lines.append(f"It cannot be chosen. {card.limits}")
        if card.system in ("endonet", "dinov2"):
            lines.append(
                f"“trocar models import FILE --features-of {card.name}” adds what reads it."
            )
        if card.system not in ("endonet", "videomamba"):
            recipe = {"dinov2": "endoarss", "pranet": "pranet"}.get(card.system, "endomamba-demo")
            lines.append(f"“trocar train {recipe} --base {card.name} --out DIR” trains it.")
    return "\n".join(lines)


def _prompt_words(card: ModelCard, report: Mapping[str, Any]) -> str:
    """What a model that finds pictures can do now."""
    from models.prompts import read_prompts

    known = len(read_prompts(card.folder))
    said = f"It can be chosen, and finds moments by example and by {known} prompts."
    if not known:
        said = "It can be chosen, and finds moments by example; --prompts FILE adds words."
    if any("backbone_text." in name for name in report["unexpected"]):
        said += " The file's text tower is not supported: prompts come as vectors."
    return said


def card_json(card: ModelCard) -> dict[str, Any]:
    """Everything a card holds."""
    return {
        **card.as_json(),
        "options": card.options,
        "picture": card.picture,
        "input_size_px": list(card.input_size_px),
        "frames_per_second": card.frames_per_second,
        "thresholds": card.thresholds,
        "trained": {
            "command": card.trained.command,
            "seconds": card.trained.seconds,
            "device": card.trained.device,
            "data": card.trained.data,
        },
        "figures": card.figures,
        "limits": card.limits,
        "parent": card.parent,
        "created": card.created,
        "weights_sha256": card.weights_sha256,
    }


def card_words(card: ModelCard) -> str:
    """A card for people."""
    from app.inference.cards import context_words

    demo = "Demo model, trained on synthetic pictures. " if card.demo else ""
    fields = (
        ("Title", card.title),
        ("Task", card.task),
        ("Network", f"{card.system}, {card.parameters:,} parameters"),
        ("Classes", ", ".join(c.name for c in card.classes)),
        ("Activities", ", ".join(a.name for a in card.activities)),
        ("Tools", ", ".join(t.name for t in card.tools)),
        ("Made for", ", ".join(card.procedures) or "any procedure"),
        ("Reads", card.features_of and f"frame features of {card.features_of}"),
        ("Live", card.why_not_live),
        ("Context", context_words(card)),
        ("Pictures", card.picture),
        ("Trained on", card.trained.data),
        ("Figures", ", ".join(f"{k} {v:g}" for k, v in card.figures.items())),
        ("Limits", demo + card.limits),
        ("Licence", card.licence),
        ("From", card.parent),
        ("Weights", str(card.weights_path or "none")),
    )
    return "\n".join(f"{name + ':':<12}{value}" for name, value in fields if value)
