"""Set-up of a source checkout: its own ``.venv``, PyTorch's right build, what Qt needs.

Run by the Makefile with the system's Python (3.11 or newer); standard library only. A second run
with nothing changed ends at once.

Environment:
    TROCAR_TORCH: ``cpu``, ``cuda`` or ``auto`` (default: ``cuda`` where an NVIDIA driver answers,
        else ``cpu``). The CPU build is a fifth of the size.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

# Shared libraries that Qt, OpenCV and the sound load, and the Debian packages that bring them;
# without libportaudio2 only the sound is missing.
LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libportaudio.so.2": "libportaudio2",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="also what tests and linting need")
    dev = parser.parse_args().dev
    if sys.version_info < (3, 11):  # noqa: UP036 -- run by whatever Python the system has
        print(f"Trocar needs Python 3.11 or newer; this is {platform.python_version()}.")
        return 1
    torch = torch_build()
    if torch is None:
        print("TROCAR_TORCH must be cpu, cuda or auto, not " + os.environ["TROCAR_TORCH"] + ".")
        return 1
    wanted = hashlib.sha256(
        f"{torch} {sys.version_info[:2]} {ROOT}".encode() + (ROOT / "pyproject.toml").read_bytes()
    ).hexdigest()
    plain, full = VENV / "trocar.stamp", VENV / "trocar-dev.stamp"
    if PYTHON.exists() and (_is(full, wanted) or (not dev and _is(plain, wanted))):
        return 0
    system_libraries()
    if not PYTHON.exists():
        make_venv()
    try:
        install(torch, dev=dev)
    except subprocess.CalledProcessError:
        print(
            "pip could not install what Trocar needs; its reason stands above. Check the network "
            "(or pip's own settings for a proxy or mirror) and run the same command again."
        )
        return 1
    (full if dev else plain).write_text(wanted)
    print(f"Trocar is set up: {(BIN / 'trocar').relative_to(ROOT)}")
    return 0


def _is(stamp: Path, wanted: str) -> bool:
    return stamp.exists() and stamp.read_text() == wanted


def torch_build() -> str | None:
    """``cpu`` or ``cuda``; None where something else was asked for."""
    asked = os.environ.get("TROCAR_TORCH", "").lower() or "auto"
    if asked in ("cpu", "cuda"):
        return asked
    if asked != "auto":
        return None
    return "cuda" if shutil.which("nvidia-smi") and platform.system() != "Darwin" else "cpu"


def system_libraries() -> None:
    """Install the missing libraries where that is permitted, else name them in one sentence."""
    if platform.system() != "Linux":
        return
    packages = [package for library, package in LIBRARIES.items() if not _loads(library)]
    if not packages:
        return
    apt = shutil.which("apt-get")
    root = apt and os.geteuid() == 0
    sudo = apt and shutil.which("sudo") and _ok(["sudo", "-n", "true"])
    if root or sudo:
        before = [] if root else ["sudo", "-n"]
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        print("Installing what the window needs:", " ".join(packages), flush=True)
        subprocess.run([*before, "apt-get", "update", "-qq"], env=env, check=False)
        done = subprocess.run(
            [*before, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
            env=env,
            check=False,
            stdout=subprocess.DEVNULL,
        )
        if done.returncode == 0:
            return
    print(
        "The window needs system packages that are missing; ask your administrator for: "
        f"apt-get install {' '.join(packages)}",
        flush=True,
    )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _ok(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def make_venv() -> None:
    """Create ``.venv``; on Debian the module may have to be installed first."""
    print("Making .venv", flush=True)
    if _ok([sys.executable, "-m", "venv", str(VENV)]):
        return
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    before = [] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["sudo", "-n"]
    _ok([*before, "apt-get", "install", "-y", "-qq", version])
    shutil.rmtree(VENV, ignore_errors=True)
    if not _ok([sys.executable, "-m", "venv", str(VENV)]):
        raise SystemExit(
            f"Python cannot make a virtual environment; install {version} and try again."
        )


def install(torch: str, *, dev: bool) -> None:
    """Install PyTorch's asked build, then Trocar in place with its dependencies."""
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    pin = next(
        line.strip().strip('",')
        for line in (ROOT / "pyproject.toml").read_text().splitlines()
        if line.strip().startswith('"torch')
    )
    version = pin.split("<=")[1]
    if torch == "cpu" and platform.system() == "Linux":
        print("Installing PyTorch, CPU build (about 200 MB, some minutes)", flush=True)
        exact = f"torch=={version}+cpu"
        if not _ok([*pip, exact]):
            subprocess.run([*pip, "--extra-index-url", TORCH_CPU_INDEX, exact], check=True)
    else:
        size = "CUDA build (some gigabytes)" if torch == "cuda" else "(some minutes)"
        print(f"Installing PyTorch, {size}", flush=True)
        extra = ["--index-url", "https://download.pytorch.org/whl/cu128"]
        windows = torch == "cuda" and platform.system() == "Windows"
        subprocess.run([*pip, *(extra if windows else []), pin], check=True)
    print("Installing Trocar with Qt, FFmpeg and OpenCV (some minutes)", flush=True)
    subprocess.run([*pip, "-e", f"{ROOT}[dev]" if dev else str(ROOT)], check=True)


if __name__ == "__main__":
    raise SystemExit(main())
