"""A released checkpoint as a model of this program: its file in, safetensors and a card out.

The file is read once, in a child process under limits (``trocar models convert``, a hidden
command); this process sees what the child wrote, and checks it like any other model.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import models
from app.core.errors import BadInput, EnvironmentProblem
from app.inference.cards import model_errors
from app.inference.foreign_cards import (
    dinov2_card,
    endomamba_card,
    endonet_card,
    features_card,
    pranet_card,
    surgvlp_card,
    videomamba_card,
)
from models import ModelCard, OptionError

PICKLED = (".pth", ".pt", ".ckpt", ".torch")
SUFFIXES = (*PICKLED, ".safetensors")
_TIME_LIMIT_S = 600
_FILE_LIMIT_BYTES = 8 << 30
_MEMORY_LIMIT_BYTES = 48 << 30


def import_released(
    file: Path,
    root: Path,
    *,
    procedure: str,
    keep_positions: bool = False,
    state_reset: str = "",
    temporal_position: str = "",
    features_of: ModelCard | None = None,
    prompts: Path | None = None,
    classes: Sequence[str] = (),
) -> tuple[ModelCard, dict[str, Any]]:
    """Install a checkpoint as the authors of a network that Trocar knows released it.

    Args:
        file: the checkpoint; its name becomes the model's.
        root: a folder of models.
        procedure: whose taxonomy names the outputs of the file's phase head, in order.
        keep_positions: of a pre-training file, keep the position rows.
        state_reset, temporal_position: of an EndoMamba; as it was published when empty.
        features_of: of a network that reads frame features: whose.
        prompts: of one of SurgVLP's family: a file of prompts, see ``models.prompts``.
        classes: names of what an EndoMamba's head of areas or of clips tells apart, in order.

    Returns:
        The card, and what became of every tensor (see the system's ``ConversionReport``).

    Raises:
        BadInput: the file is no such checkpoint, is damaged or wants to run code.
        EnvironmentProblem: no child process can be started.
    """
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".converted-") as made:
        said = ["--procedure", procedure]
        said += ["--keep-positions"] if keep_positions else []
        for option, value in (
            ("--state-reset", state_reset),
            ("--temporal-position", temporal_position),
            ("--features-of", "" if features_of is None else features_of.name),
            ("--prompts", "" if prompts is None else str(prompts.absolute())),
            ("--classes", ",".join(classes)),
        ):
            said += [option, value] if value else []
        report = _in_child(file, Path(made), said)
        folder = Path(made) / _name_of(file)
        with model_errors():
            card = models.read_card(folder)
            if card.system != "endomamba" and (state_reset or temporal_position or classes):
                raise BadInput(
                    f"{card.name} is no EndoMamba; leave --state-reset, --temporal-position and "
                    "--classes out."
                )
            if features_of is not None:
                _check_features(card, features_of)
            return models.install_model(folder, root), report


def _check_features(card: ModelCard, encoder: ModelCard) -> None:
    """Refuse an encoder that makes other features than the network reads."""
    if not card.features_of:
        raise BadInput(f"{card.name} looks at pictures itself; leave --features-of out.")
    made = getattr(models.create_model(encoder.system, **encoder.options), "feature_channels", 0)
    if made != card.options["in_features"]:
        raise OptionError(
            f"{card.name} reads {card.options['in_features']} features of a frame, {encoder.name} "
            f"makes {made or 'none'}; name the encoder that it was trained on."
        )


def convert(
    file: Path,
    root: Path,
    *,
    procedure: str,
    keep_positions: bool,
    state_reset: str = "",
    temporal_position: str = "",
    features_of: str = "",
    prompts: Path | None = None,
    classes: Sequence[str] = (),
) -> dict[str, Any]:
    """Read the checkpoint and write ``root/<name>``; what the child process does.

    Returns:
        The conversion report.

    Raises:
        BadInput: see ``import_released``.
    """
    from models.dinov2 import convert as dinov2
    from models.endomamba import convert as endomamba
    from models.endonet import convert as endonet
    from models.ms_tcn import convert as ms_tcn
    from models.pranet import convert as pranet
    from models.prompts import read_prompt_file, write_prompts
    from models.sprmamba import convert as sprmamba
    from models.surgvlp import convert as surgvlp
    from models.videomamba import convert as videomamba

    _limit_this_process()
    name = _name_of(file)
    with model_errors():
        checkpoint = _read(file)
        if surgvlp.is_surgvlp(checkpoint):
            options, tower, account = surgvlp.convert(checkpoint)
            known = read_prompt_file(prompts, options["embedding"]) if prompts else {}
            made = models.save_model(tower, surgvlp_card(name, options, account), root)
            if known and made.folder is not None:
                write_prompts(known, made.folder)
            return asdict(account)
        if prompts is not None:
            raise BadInput(f"{file.name} reads no prompts; leave --prompts out.")
        for system, knows, read in (
            ("ms_tcn", ms_tcn.is_ms_tcn, ms_tcn.convert),
            ("sprmamba", sprmamba.is_sprmamba, sprmamba.convert),
        ):
            if knows(checkpoint):
                options, temporal, found = read(checkpoint)
                card = features_card(name, system, options, found, procedure, features_of)
                models.save_model(temporal, card, root)
                return asdict(found)
        if endonet.is_endonet(checkpoint):
            options, frames, parts = endonet.convert(checkpoint)
            models.save_model(frames, endonet_card(name, options, parts), root)
            return asdict(parts)
        if dinov2.is_dinov2(checkpoint):
            options, encoder, account = dinov2.convert(checkpoint)
            models.save_model(encoder, dinov2_card(name, options, account), root)
            return asdict(account)
        if videomamba.is_videomamba(checkpoint):
            options, teacher, account = videomamba.convert(checkpoint)
            models.save_model(teacher, videomamba_card(name, options, account), root)
            return asdict(account)
        if pranet.is_pranet(checkpoint):
            polyps, names = pranet.convert(checkpoint)
            models.save_model(polyps, pranet_card(name, names), root)
            return asdict(names)
        released, network, report = endomamba.convert(
            checkpoint,
            keep_positions=keep_positions,
            keep_head=bool(classes),
            state_reset=state_reset,
            temporal_position=temporal_position,
        )
        card = endomamba_card(name, released, report, procedure, classes)
        models.save_model(network, card, root)
    return asdict(report)


def _read(file: Path) -> Mapping[str, object]:
    if file.suffix.lower() in PICKLED:
        from models.foreign import read_pickled

        return read_pickled(file)
    from models.checkpoint import read_tensors

    return read_tensors(file)[0]


def _in_child(file: Path, made: Path, options: list[str]) -> dict[str, Any]:
    if not file.is_file():
        raise BadInput(f"There is no file {file.name}.")
    command = [
        sys.executable,
        *([] if getattr(sys, "frozen", False) else ["-m", "app"]),
        *("models", "convert", str(file.absolute()), str(made.absolute())),
        *options,
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
