"""``trocar analyze``, ``models`` and ``doctor`` as a user types them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.cli.main import run
from app.store import Library
from tests.helpers.clips import RECIPES, make_clip
from tests.inference.conftest import save_instruments, save_phases


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 10 frames per second; a name nobody should read in the library."""
    recipe = replace(RECIPES["h264-mp4"], frames=20, rate=10)
    return make_clip(tmp_path_factory.mktemp("clip") / "Jane Doe.mp4", recipe)


@pytest.fixture
def library(own_library: Path) -> Path:
    """A library's folder with an instrument and a phase model."""
    save_instruments(own_library / "models")
    save_phases(own_library / "models")
    return own_library


def trocar(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command: status, stdout, stderr."""
    status = run([str(a) for a in arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


MODELS = ("--model", "tools", "--model", "phases", "--device", "cpu", "--threads", 1)


def test_a_recording_becomes_an_analysed_case(
    library: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = trocar(
        capsys, "analyze", clip, *MODELS, "--procedure", "cholecystectomy", "--json"
    )
    assert status == 0
    found = json.loads(out)
    assert (found["case"], found["frames"], found["device"]) == ("0001", 20, "cpu")
    assert found["instances"] > 0
    by_name = {m["name"]: m for m in found["models"]}
    assert (by_name["tools"]["computed"], by_name["phases"]["computed"]) == (20, 2)
    for model in found["models"]:
        assert set(model) >= {"name", "task", "frames", "computed", "resumed", "ms_per_frame"}
    with Library.open(library, "read") as opened:
        (case,) = opened.cases()
        assert case.procedure == "cholecystectomy"
        assert "Jane" not in case.title
        assert case.assets[0].sha256
        assert opened.thumbnail_path("0001").read_bytes()[:2] == b"\xff\xd8"


def test_a_known_recording_does_not_change_its_procedure_unasked(
    library: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = ("analyze", clip, *MODELS, "--every", 10)
    assert trocar(capsys, *some)[0] == 0
    status, _, err = trocar(capsys, *some, "--procedure", "cholecystectomy")
    assert status == 1
    assert "of the procedure “unknown”" in err
    assert trocar(capsys, *some, "--procedure", "unknown")[0] == 0


def test_the_same_recording_again_resumes_its_case(
    library: Path, clip: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    trocar(capsys, "analyze", clip, *MODELS, "--every", 4, "--json")
    elsewhere = tmp_path / "moved.mp4"
    elsewhere.write_bytes(clip.read_bytes())
    _, out, _ = trocar(capsys, "analyze", elsewhere, *MODELS, "--every", 4, "--json")
    found = json.loads(out)
    assert found["case"] == "0001"
    assert [(m["computed"], m["resumed"]) for m in found["models"]] == [(0, 5), (0, 2)]
    _, out, _ = trocar(capsys, "analyze", "--case", "0001", *MODELS, "--every", 4)
    assert "Everything was stored already." in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.mp4"], "nowhere.mp4"),
        (["CLIP", "--model", "nothing"], 'There is no model "nothing"'),
        (["CLIP", "--procedure", "lunch"], "There is no procedure “lunch”"),
        (["--case", "0099"], "0099"),
        ([], "Name the video files"),
        (["CLIP", "CLIP", "--model", "tools"], "named twice"),
        (["CLIP", "--device", "abacus", "--model", "tools"], "There is no device"),
    ],
)
def test_a_mistake_gets_one_sentence(
    library: Path,
    clip: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    given = [str(clip) if a == "CLIP" else a for a in arguments]
    status, out, err = trocar(capsys, "analyze", *given)
    assert status == 1
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1


def test_models_are_listed_shown_and_checked(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = trocar(capsys, "models", "list", "--json")
    by_name = {m["name"]: m for m in json.loads(out)}
    assert by_name["tools"]["task"] == "instance-segmentation"
    assert by_name["tools"]["demo"] is True
    assert Path(by_name["phases"]["weights"]).is_file()
    _, out, _ = trocar(capsys, "models", "show", "tools")
    assert "Demo model" in out
    status, out, _ = trocar(capsys, "models", "check", "tools", "--json")
    assert status == 0
    assert json.loads(out)["ms_per_frame"] > 0


def test_a_model_travels_and_a_damaged_one_does_not(
    library: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, out, _ = trocar(capsys, "models", "export", "tools", "--out", tmp_path, "--json")
    assert status == 0
    folder = Path(json.loads(out)["folder"])
    there = tmp_path / "elsewhere"
    status, _, _ = trocar(capsys, "models", "import", folder, "--library", there)
    assert status == 0
    _, out, _ = trocar(capsys, "models", "list", "--library", there, "--json")
    assert "tools" in {m["name"] for m in json.loads(out)}
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    status, _, err = trocar(capsys, "models", "import", folder, "--library", tmp_path / "third")
    assert status == 1
    assert "another SHA-256" in err
    assert not (tmp_path / "third" / "models" / "tools").exists()


def test_a_model_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = trocar(capsys, "models", "import", "nowhere")
    assert status == 1
    assert err == "There is no nowhere; name a model's folder, or a file of weights.\n"


def test_a_file_in_the_way_is_one_sentence(
    library: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("here")
    status, _, err = trocar(capsys, "models", "export", "tools", "--out", blocked)
    assert status == 1
    assert "tools cannot be exported" in err
    assert err.count("\n") == 1


def test_the_doctor_names_the_device_and_the_reason(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = trocar(capsys, "doctor", "--device", "cpu", "--json")
    assert status == 0
    found = json.loads(out)
    assert found["device"] == "cpu"
    assert found["reason"] == "The processor was asked for."
    assert found["memory_mb"] > 100
    assert found["ms_per_frame"]["tools"] > 0
    assert found["ffmpeg"]
    assert found["versions"]["torch"]
    assert found["engines"] == []
    assert found["engines_absent"]["cuda-graph"].endswith("computes on an NVIDIA card.")
    assert found["problems"] == []


def test_the_doctor_tells_of_a_damaged_model(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = library / "models" / "phases" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    status, out, _ = trocar(capsys, "doctor", "--device", "cpu")
    assert status == 0
    assert "Problem:" in out
    assert "tools," in out
    assert "Engines:  not measured yet" in out


def test_the_doctor_tells_of_work_without_a_backup(
    own_library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long_ago_ms = 1_700_000_000_000
    with Library.open(own_library, ballast_bytes=0, clock=lambda: long_ago_ms) as made:
        made.writer.create_case("Case", "unknown").result(20)
        in_the_way = own_library / "backups"
        in_the_way.write_bytes(b"")
    status, out, _ = trocar(capsys, "doctor", "--device", "cpu", "--json")
    assert status == 0
    (problem,) = json.loads(out)["problems"]
    assert "2023-11-1" in problem
    assert "in no backup" in problem
    in_the_way.unlink()
    assert trocar(capsys, "backup")[0] == 0
    status, out, _ = trocar(capsys, "doctor", "--device", "cpu", "--json")
    assert json.loads(out)["problems"] == []
