"""Exports say what PyTorch says, damage is refused, and what was measured is kept."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.core.errors import EnvironmentProblem
from app.inference.engines import kinds, ladder
from app.inference.engines.eager import Eager
from app.inference.engines.examining import examine, load
from app.inference.engines.export import INT8_FILE, MODEL_FILE, exported, folder_of, remove_stale
from app.inference.engines.ladder import Ladder, Rung, kept_ladders, read
from models.card import ModelCard
from tests.inference.engines.conftest import CPU, SIZE_PX, damaged, needed, picture

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.mark.parametrize("key", ["openvino", "onnx"])
def test_an_export_says_what_pytorch_says(instruments: ModelCard, key: str) -> None:
    needed(key)
    found = examine(instruments, CPU, SIZE_PX, threads=1, own=picture(), only=key)
    rung = found.rung(key)
    assert rung is not None
    assert rung.passed, rung.words
    assert rung.ms is not None
    assert rung.ms > 0
    assert read(instruments, CPU, SIZE_PX, 1) == found
    engine = load(key, Eager(instruments), CPU, SIZE_PX, 1)
    reference = Eager(instruments).forward(picture(3), CPU)
    for ours, theirs in zip(engine.forward(picture(3)), reference, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-3)


def test_a_damaged_file_is_refused(
    instruments: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed("onnx")
    good = exported(instruments, *SIZE_PX)
    monkeypatch.setenv("TROCAR_CACHE", str(tmp_path))
    path = folder_of(instruments, *SIZE_PX) / MODEL_FILE
    path.parent.mkdir(parents=True)
    damaged(good, path)
    found = examine(instruments, CPU, SIZE_PX, threads=1, own=picture(), only="onnx")
    rung = found.rung("onnx")
    assert rung is not None
    assert not rung.passed
    assert rung.words.startswith("Refused: ")
    assert found.usable() == ["torch"]


def test_a_file_that_is_no_network_is_said_so(
    instruments: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed("onnx")
    needed("openvino")
    monkeypatch.setenv("TROCAR_CACHE", str(tmp_path))
    path = folder_of(instruments, *SIZE_PX) / MODEL_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no network")
    for key in ("onnx", "openvino"):
        with pytest.raises(EnvironmentProblem, match="network"):
            load(key, Eager(instruments), CPU, SIZE_PX, 1)


def test_int8_holds_all_convolutions_and_nothing_else(instruments: ModelCard) -> None:
    needed("onnx-int8")
    import onnx

    engine = load("onnx-int8", Eager(instruments), CPU, SIZE_PX, 1, lambda: [picture(4)])
    graph = onnx.load(folder_of(instruments, *SIZE_PX) / INT8_FILE).graph
    made_by = {name: node for node in graph.node for name in node.output}
    used_by = {name: node for node in graph.node for name in node.input}
    convolutions = [n for n in graph.node if n.op_type == "Conv"]
    assert len(convolutions) > 20
    for node in convolutions:
        assert [made_by[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            assert {n.op_type for n in graph.node if node.output[0] in n.input} == {"Conv"}
        if node.op_type == "QuantizeLinear":
            assert used_by[node.output[0]].op_type == "DequantizeLinear"
    assert not any(made_by[o.name].op_type == "DequantizeLinear" for o in graph.output)
    assert engine.forward(picture()).boxes.shape == (1, 64, 504)


def test_absent_packages_are_one_sentence(
    instruments: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "find_spec", lambda _: None)
    with pytest.raises(EnvironmentProblem) as raised:
        load("openvino", Eager(instruments), CPU, SIZE_PX, 1)
    said = raised.value.user_message
    assert said == "openvino is not installed; “pip install trocar[openvino]” brings it."
    with pytest.raises(EnvironmentProblem, match="computes on an NVIDIA card"):
        load("cuda-graph", Eager(instruments), CPU, SIZE_PX, 1)


def rungs(**ms: float | None) -> Ladder:
    return Ladder(
        model="m",
        width_px=1,
        height_px=1,
        device="d",
        threads=1,
        rungs=tuple(
            Rung(engine=k.replace("_", "-"), passed=v is not None, words="", ms=v)
            for k, v in ms.items()
        ),
    )


def test_the_fastest_that_passes_comes_first_and_pytorch_last() -> None:
    assert rungs(torch=10.0, openvino=5.0, onnx=4.0).usable() == ["onnx", "openvino", "torch"]
    assert rungs(torch=10.0, openvino=None, onnx=9.5).usable() == ["torch"]
    assert rungs(torch=10.0, torch_half=30.0).usable() == ["torch"]


def test_what_was_measured_elsewhere_does_not_count(
    instruments: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TROCAR_CACHE", str(tmp_path))
    kept = replace(rungs(torch=10.0), width_px=SIZE_PX[0], height_px=SIZE_PX[1])
    ladder.write(instruments, CPU, kept)
    assert read(instruments, CPU, SIZE_PX, 1) == kept
    assert kept_ladders([instruments], CPU) == [kept]
    assert read(instruments, CPU, SIZE_PX, 2) is None
    assert read(instruments, replace(CPU, device="cuda:0"), SIZE_PX, 1) is None
    (path,) = tmp_path.rglob("ladder*.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, "machine": {"torch": "0"}}), encoding="utf-8")
    assert read(instruments, CPU, SIZE_PX, 1) is None
    path.write_text("{", encoding="utf-8")
    assert read(instruments, CPU, SIZE_PX, 1) is None


def test_what_other_versions_made_is_deleted(
    instruments: ModelCard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TROCAR_CACHE", str(tmp_path))
    now = folder_of(instruments, *SIZE_PX)
    old = now.with_name(now.name.replace("-torch", "-torch0."))
    other, unused = now.with_name("abc-64x64-f1-torch2"), now.with_name("def-64x64-f1-torch2")
    for folder in (now, old, other, unused):
        folder.mkdir(parents=True)
        (folder / MODEL_FILE).write_bytes(b"x")
    os.utime(unused, (1, 1))
    remove_stale(now)
    assert sorted(p.name for p in now.parent.iterdir()) == sorted([now.name, other.name])


def test_a_ladder_is_whole_once_every_verdict_is_known() -> None:
    every = {k.key.replace("-", "_"): 1.0 for k in kinds.KINDS}
    assert rungs(**every).is_whole
    assert not rungs(torch=1.0, openvino=0.5).is_whole
    unknown = replace(rungs(**every).rungs[-1], passed=None)
    assert not replace(rungs(**every), rungs=(*rungs(**every).rungs[:-1], unknown)).is_whole
