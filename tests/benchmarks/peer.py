"""ultralytics YOLOv8n-seg beside us, where the user has installed it; never a dependency (AGPL).

ultralytics reads torchvision's metadata when it is imported and calls its NMS; on a CPU build of
torch torchvision's wheels do not load. A stand-in with that metadata and OpenCV's NMS in C++ makes
it run (specs: environment traps).
"""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

NAME = "ultralytics YOLOv8n-seg"
_STAND_IN = """
from . import ops, transforms
__version__ = "0.28.0"
"""
_OPS = """
import cv2, numpy as np, torch
def nms(boxes, scores, iou_threshold):
    corners = boxes.numpy()
    sizes = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), 1)
    kept = cv2.dnn.NMSBoxes(sizes.astype(np.float64), scores.numpy(), 0.0, float(iou_threshold))
    return torch.as_tensor(np.asarray(kept).ravel().astype(np.int64))
"""


def why_not() -> str:
    """Why there is no peer here; "" where there is one."""
    if find_spec("ultralytics") is None:
        return "ultralytics is not installed, so there is no peer"
    prepare()
    return ""


def prepare() -> None:
    """Put the stand-in for torchvision in place where the real one does not load."""
    if find_spec("torchvision") is not None:
        return
    folder = Path(tempfile.mkdtemp(prefix="trocar-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    package, about = folder / "torchvision", folder / "torchvision-0.28.0.dist-info"
    package.mkdir()
    about.mkdir()
    (package / "__init__.py").write_text(_STAND_IN, encoding="utf-8")
    (package / "ops.py").write_text(_OPS, encoding="utf-8")
    (package / "transforms.py").write_text("", encoding="utf-8")
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n", encoding="utf-8"
    )
    sys.path.insert(0, str(folder))


def network() -> Any:
    """The peer's network with random weights, fused, in eval mode; forward gives raw outputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ultralytics import YOLO

        return YOLO("yolov8n-seg.yaml", verbose=False).model.eval().fuse()


def predictor() -> Any:
    """The peer's whole pipeline: ``predictor()(frame)`` answers ``Results``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ultralytics import YOLO

        return YOLO("yolov8n-seg.yaml", verbose=False)


def coco_rle(masks: np.ndarray) -> list[Any]:
    """Masks uint8 (N, H, W) as compressed COCO run lengths, as peers store them."""
    from pycocotools import mask as coco

    return [coco.encode(np.asfortranarray(m)) for m in masks]
