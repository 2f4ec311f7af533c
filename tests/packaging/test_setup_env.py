"""The set-up of a checkout: what it chooses, and that a failure is one sentence."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "packaging" / "setup_env.py"


@pytest.fixture
def setup_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, with a folder of its own in place of the checkout's ``.venv``."""
    spec = importlib.util.spec_from_file_location("setup_env", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "VENV", tmp_path)
    monkeypatch.setattr(module, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(module, "system_libraries", lambda: None)
    monkeypatch.setattr(sys, "argv", ["setup_env.py"])
    return module


@pytest.mark.parametrize(
    ("asked", "driver", "build"),
    [
        ("cpu", True, "cpu"),
        ("CUDA", False, "cuda"),
        ("auto", False, "cpu"),
        ("", False, "cpu"),
        ("", True, "cuda"),
        ("rocm", True, None),
    ],
)
def test_which_build_of_pytorch(
    setup_env: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    driver: bool,
    build: str | None,
) -> None:
    monkeypatch.setenv("TROCAR_TORCH", asked)
    monkeypatch.setattr(setup_env.platform, "system", lambda: "Linux")
    monkeypatch.setattr(setup_env.shutil, "which", lambda _name: "/bin/x" if driver else None)
    assert setup_env.torch_build() == build


def test_an_unknown_build_is_one_sentence(
    setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TROCAR_TORCH", "rocm")
    assert setup_env.main() == 1
    assert capsys.readouterr().out == "TROCAR_TORCH must be cpu, cuda or auto, not rocm.\n"


def test_what_pip_cannot_do_is_one_sentence_and_is_tried_again(
    setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TROCAR_TORCH", "cpu")
    calls: list[bool] = []

    def install(_torch: str, *, dev: bool) -> None:
        calls.append(dev)
        if len(calls) == 1:
            raise subprocess.CalledProcessError(1, ["pip"])

    monkeypatch.setattr(setup_env, "install", install)
    assert setup_env.main() == 1
    assert capsys.readouterr().out.startswith("pip could not install")
    assert setup_env.main() == 0
    assert "Trocar is set up" in capsys.readouterr().out
    assert setup_env.main() == 0
    assert calls == [False, False], "a set-up that is complete is left alone"
    monkeypatch.setattr(sys, "argv", ["setup_env.py", "--dev"])
    assert setup_env.main() == 0
    assert calls == [False, False, True]
