"""A released checkpoint as a model of this program: pickled weights in, safetensors and a card out.

The file is read once, in a child process under limits (``trocar models convert``, a hidden
command); this process sees what the child wrote, and checks it like any other model.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import models
from app.core.errors import BadInput, EnvironmentProblem
from app.core.prediction import PHASES
from app.core.taxonomy import find_taxonomy
from app.inference.cards import model_errors
from models.card import BACKBONE, ModelCard, ModelClass, Training

if TYPE_CHECKING:
    from models.endomamba.convert import ConversionReport

SUFFIXES = (".pth", ".pt")
_TIME_LIMIT_S = 600
_FILE_LIMIT_BYTES = 8 << 30
_MEMORY_LIMIT_BYTES = 48 << 30


def import_released(
    file: Path, root: Path, *, procedure: str, keep_positions: bool = False
) -> tuple[ModelCard, dict[str, Any]]:
    """Install a checkpoint that the authors of EndoMamba released, or one of its layout.

    Args:
        file: the checkpoint; its name becomes the model's.
        root: a folder of models.
        procedure: whose taxonomy names the outputs of the file's phase head, in order.
        keep_positions: of a pre-training file, keep the position rows.

    Returns:
        The card, and what became of every tensor (see ``ConversionReport``).

    Raises:
        BadInput: the file is no such checkpoint, is damaged or wants to run code.
        EnvironmentProblem: no child process can be started.
    """
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".converted-") as made:
        report = _in_child(file, Path(made), procedure, keep_positions)
        with model_errors():
            return models.install_model(Path(made) / _name_of(file), root), report


def convert(file: Path, root: Path, *, procedure: str, keep_positions: bool) -> dict[str, Any]:
    """Read the checkpoint and write ``root/<name>``; what the child process does.

    Returns:
        The conversion report.

    Raises:
        BadInput: see ``import_released``.
    """
    from models.endomamba import convert as endomamba
    from models.foreign import read_pickled

    _limit_this_process()
    with model_errors():
        checkpoint = read_pickled(file)
        options, network, report = endomamba.convert(checkpoint, keep_positions=keep_positions)
        card = _card(_name_of(file), options, report, procedure)
        models.save_model(network, card, root)
    return asdict(report)


def _in_child(file: Path, made: Path, procedure: str, keep_positions: bool) -> dict[str, Any]:
    if not file.is_file():
        raise BadInput(f"There is no file {file.name}.")
    command = [
        sys.executable,
        *([] if getattr(sys, "frozen", False) else ["-m", "app"]),
        *("models", "convert", str(file.absolute()), str(made.absolute())),
        *("--procedure", procedure),
        *(["--keep-positions"] if keep_positions else []),
    ]
    try:
        child = subprocess.run(
            command,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_TIME_LIMIT_S,
            cwd=Path(__file__).resolve().parents[2],
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"{file.name} took longer than ten minutes to read; it is damaged.") from (
            error
        )
    except OSError as error:
        raise EnvironmentProblem(
            "The program that converts weights could not be started; restart Trocar.", str(error)
        ) from error
    said = child.stderr.strip().splitlines()
    if child.returncode == 1 and len(said) == 1:
        raise BadInput(said[0])
    if child.returncode:
        raise BadInput(f"{file.name} cannot be read safely; it is damaged.", " ".join(said[-1:]))
    return dict(json.loads(child.stdout))


def _limit_this_process() -> None:
    """Bound time, memory and what is written, where the system can (POSIX)."""
    try:
        import resource
    except ImportError:
        return
    for what, limit in (
        (resource.RLIMIT_CPU, _TIME_LIMIT_S),
        (resource.RLIMIT_AS, _MEMORY_LIMIT_BYTES),
        (resource.RLIMIT_FSIZE, _FILE_LIMIT_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        bounded = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (bounded, hard))


def _name_of(file: Path) -> str:
    name = re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).strip("-._")[:80]
    if not name:
        raise BadInput(f"Give {file.name} a name in Latin letters; it becomes the model's name.")
    return name


def _card(
    name: str, options: dict[str, Any], report: ConversionReport, procedure: str
) -> ModelCard:
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
        limits=_limits(report, has_head),
        created=datetime.now(UTC).date().isoformat(),
    )


def _limits(report: ConversionReport, has_head: bool) -> str:
    if has_head:
        return "Imported; nothing was measured here. Its phases are named in the file's order."
    lost = [n for n in ("cls_token", "pos_embed") if n in report.missing]
    fresh = f" Not in the file, hence untrained: {', '.join(lost)}." if lost else ""
    return f"A backbone without a phase head: it names no phases until it is trained to.{fresh}"
