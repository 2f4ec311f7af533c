"""Shrink the stills the phantom is made of and fit their round views.

Run by hand from the project root with the folder of the original data set:
`python resources/phantom/build.py FOLDER`. It writes `stills/` and `labels/` for every name in
`index.json`, and the view (x, y, radius in pixels) of those that have none there yet.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
WIDTH, HEIGHT, QUALITY = 960, 540, 86
HELD_OUT = ("00001-21711", "00010-23313")


def view_circle(bgr: np.ndarray) -> list[float]:
    """Fit the round view: (x, y, radius) in pixels; a radius over the width where it fills all."""
    height, width = bgr.shape[:2]
    bright = cv2.blur(bgr.max(axis=2), (9, 9)) > 22
    # What the recorder writes beside the view is no part of it.
    writing = np.zeros(bright.shape, bool)
    writing[int(0.88 * height) :, : int(0.22 * width)] = True
    writing[int(0.9 * height) :, int(0.84 * width) :] = True
    bright &= ~writing
    count, parts, stats, _ = cv2.connectedComponentsWithStats(bright.astype(np.uint8))
    full = [width / 2, height / 2, float(width)]
    if count < 2:
        return full
    biggest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    outline, _ = cv2.findContours(
        (parts == biggest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    hull = cv2.convexHull(max(outline, key=len))[:, 0]
    dense = np.concatenate(
        [
            np.linspace(a, b, 20, endpoint=False)
            for a, b in zip(hull, np.roll(hull, -1, 0), strict=False)
        ]
    )
    edge = 5
    inner = (dense[:, 0] > edge) & (dense[:, 0] < width - 1 - edge)
    inner &= (dense[:, 1] > edge) & (dense[:, 1] < height - 1 - edge)
    near = cv2.dilate(writing.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    inner &= ~near[dense[:, 1].astype(int), dense[:, 0].astype(int)]
    points = dense[inner]
    if len(points) < 60:
        return full
    for _ in range(6):
        a = np.column_stack([points, np.ones(len(points))])
        solved = np.linalg.lstsq(a, -(points**2).sum(1), rcond=None)[0]
        x, y = -solved[:2] / 2
        radius = float(np.sqrt(max(x * x + y * y - solved[2], 1.0)))
        error = np.hypot(points[:, 0] - x, points[:, 1] - y) - radius
        keep = np.abs(error) < max(3.0, 1.5 * np.median(np.abs(error)))
        if keep.sum() < 60:
            break
        points = points[keep]
    if not 0.2 * width < radius < 0.62 * width:
        return full
    return [round(float(x), 1), round(float(y), 1), round(radius - 1.5, 1)]


def main(source: Path) -> None:
    """Write the selected stills, their labels and the index."""
    index = json.loads((HERE / "index.json").read_text())
    (HERE / "stills").mkdir(exist_ok=True)
    (HERE / "labels").mkdir(exist_ok=True)
    for entry in index["stills"]:
        name = entry["name"]
        if name.startswith(HELD_OUT):
            raise SystemExit(f"{name} is held out and must not enter the phantom.")
        encoded = np.fromfile(source / f"{name}.jpg", np.uint8)
        bgr = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        small = cv2.resize(bgr, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        cv2.imencode(".jpg", small, quality)[1].tofile(HERE / "stills" / f"{name}.jpg")
        labels = source / "labels" / f"{name}.json"
        if labels.exists():
            shrink_labels(labels, HERE / "labels" / labels.name)
        entry["view"] = entry.get("view") or view_circle(small)
    lines = ",\n".join(json.dumps(entry) for entry in index["stills"])
    (HERE / "index.json").write_text(f'{{"stills": [\n{lines}\n]}}\n')


def shrink_labels(source: Path, target: Path) -> None:
    """Copy a LabelMe file with its polygons in the small picture's pixels."""
    labels = json.loads(source.read_text())
    scale = WIDTH / labels["imageWidth"]
    for shape in labels["shapes"]:
        shape["points"] = [[round(v * scale, 1) for v in point] for point in shape["points"]]
    labels.update(imageWidth=WIDTH, imageHeight=HEIGHT)
    target.write_text(json.dumps(labels, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
