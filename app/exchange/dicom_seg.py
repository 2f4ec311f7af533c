"""Corrected masks of a case as DICOM Segmentation, binary, of the frames of the exported video.

A segment is an instrument that keeps its track number; it names class and number. Runs on the
caller's thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app import __version__
from app.core.case import Asset, Case
from app.core.errors import BadInput
from app.core.prediction import Instance
from app.core.resources import RESEARCH_USE_SHORT
from app.core.taxonomy import Taxonomy, find_taxonomy
from app.exchange.case_export import Exported, annotated_frames, write_readme, writing
from app.exchange.coco import AnnotatedFrame
from app.exchange.dicom_video import header_of
from app.store import Library
from app.video import VideoSource, open_recording
from app.video.dicom.stream import Coding
from app.video.dicom.write import METHODS, VIDEO_ENDOSCOPIC, uid_of, video_dataset
from app.video.written_whole import written_whole

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

MOST_BYTES = 256 << 20
"""Masks that are held at once; more of them go into a further file."""

_SINGLE_FRAME = "1.2.840.10008.5.1.4.1.1.77.1.1"
_UNTRACKED = -1
Segment = tuple[str, int]


def export_dicom_seg(
    library: Library, case_id: str, out: Path, *, most_bytes: int = MOST_BYTES
) -> Exported:
    """Write the corrected frames of a case as DICOM SEG.

    Args:
        library: the open library.
        case_id: whose masks.
        out: folder to write into.
        most_bytes: room for masks; a long case becomes several files.

    Raises:
        BadInput: there is no such case, it has no masks, or a recording is not where it was.
        EnvironmentProblem: the folder cannot be written.
    """
    case = library.case(case_id)
    files = frames = masks = 0
    path = out
    with writing(out):
        for asset in case.assets:
            with open_recording(asset) as source:
                found = annotated_frames(library, asset, source.index_of)
                shown = [f for f in found if f.instances]
                for number, part in enumerate(_parts(shown, most_bytes), start=1):
                    path = out / f"{asset.asset_id}-seg-{number}.dcm"
                    _write(case, asset, source, part, path, number)
                    files, frames = files + 1, frames + len(part)
                    masks += sum(len(f.instances) for f in part)
        if not files:
            raise BadInput(
                f"Case {case_id} has no corrected outlines to write; draw or accept one."
            )
        write_readme(out, case, "masks as DICOM Segmentation")
    return Exported(
        path=path,
        words=f"{masks} masks in {frames} frames as DICOM SEG",
        counts={"files": files, "frames": frames, "instances": masks},
    )


def segments_of(frames: Sequence[AnnotatedFrame]) -> list[Segment]:
    """(class, track) of every segment, in the order of their numbers from 1.

    Outlines without a track of one class share as few segments as can keep them apart.
    """
    return sorted({segment for frame in frames for segment, _ in _told_apart(frame.instances)})


def _told_apart(instances: Sequence[Instance]) -> Iterator[tuple[Segment, Instance]]:
    taken: set[Segment] = set()
    for instance in instances:
        track = _UNTRACKED if instance.track is None else instance.track
        # Two outlines of one track in one frame: the second one stands alone.
        while (instance.label, track) in taken:
            track = min(track, 0) - 1
        taken.add((instance.label, track))
        yield (instance.label, track), instance


def _parts(frames: Sequence[AnnotatedFrame], most_bytes: int) -> Iterator[Sequence[AnnotatedFrame]]:
    start = 0
    while start < len(frames):
        end = start + 1
        while (
            end < len(frames)
            and _size(frames[end:]) == _size(frames[start:])
            and _bytes(frames[start : end + 1]) <= most_bytes
        ):
            end += 1
        yield frames[start:end]
        start = end


def _bytes(frames: Sequence[AnnotatedFrame]) -> int:
    height, width = _size(frames)
    return len(frames) * height * width * len(segments_of(frames))


def _size(frames: Sequence[AnnotatedFrame]) -> tuple[int, int]:
    mask = frames[0].instances[0].mask
    return mask.height_px, mask.width_px


def _write(
    case: Case,
    asset: Asset,
    source: VideoSource,
    frames: Sequence[AnnotatedFrame],
    path: Path,
    number: int,
) -> None:
    from highdicom.seg import Segmentation, SegmentationTypeValues

    segments = segments_of(frames)
    # highdicom writes frames of one position alone where there is no frame of reference, which an
    # endoscope does not have; so it makes the header from one blank frame, and the frames follow.
    written = Segmentation(
        source_images=[_source(case, asset, source, frames)],
        pixel_array=np.zeros((1, *_size(frames), len(segments)), np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=_descriptions(asset, segments, find_taxonomy(case.procedure)),
        series_instance_uid=uid_of(asset.asset_id, "masks series"),
        series_number=2,
        sop_instance_uid=uid_of(asset.asset_id, f"masks {number}", case.procedure, _digest(frames)),
        instance_number=number,
        manufacturer="Trocar",
        manufacturer_model_name="Trocar",
        software_versions=__version__,
        device_serial_number="0",
        content_label="MASKS",
        content_description=RESEARCH_USE_SHORT,
        series_description="Corrected masks",
        omit_empty_frames=False,
    )
    written.PatientOrientation = ""
    _put_frames(written, frames, segments)
    for item in _references(written):
        item.ReferencedSOPClassUID = VIDEO_ENDOSCOPIC
    with written_whole(path) as part:
        written.save_as(part, enforce_file_format=True)


def _digest(frames: Sequence[AnnotatedFrame]) -> str:
    """Of frames, labels and masks: other masks are another instance (PS3.3 §C.12.1.1.1)."""
    digest = hashlib.sha256()
    for frame in frames:
        for (label, track), instance in _told_apart(frame.instances):
            digest.update(f"{frame.pts} {label} {track} {instance.mask.box}".encode())
            digest.update(np.packbits(instance.mask.full()).tobytes())
    return digest.hexdigest()


def _source(case: Case, asset: Asset, source: VideoSource, frames: Sequence[AnnotatedFrame]) -> Any:
    """The header of the exported video as that of a single frame."""
    whole = (0, len(source) - 1)
    height, width = _size(frames)
    stored = sum(Path(f.path).stat().st_size for f in asset.files)
    coding = Coding(
        codec=asset.codec if asset.codec in METHODS else "h264",
        syntax="",
        width_px=width,
        height_px=height,
        lossy_ratio=3 * width * height * len(source) / stored,
    )
    ds = video_dataset(header_of(case, asset, source, whole, annotated=False), coding)
    ds.SOPClassUID = _SINGLE_FRAME
    del ds.NumberOfFrames
    return ds


def _put_frames(
    written: Any, frames: Sequence[AnnotatedFrame], segments: Sequence[Segment]
) -> None:
    """Replace the one blank frame by every mask, each with the frame of the video it lies in."""
    number = {segment: n for n, segment in enumerate(segments, start=1)}
    template, shared = (
        written.PerFrameFunctionalGroupsSequence[0],
        written.SharedFunctionalGroupsSequence[0],
    )
    # What all of its frames share is not shared by those that follow.
    for element in list(shared):
        template.add(element)
        del shared[element.tag]
    items, planes = [], []
    for place, frame in enumerate(frames, start=1):
        for segment, instance in _told_apart(frame.instances):
            item = deepcopy(template)
            item.SegmentIdentificationSequence[0].ReferencedSegmentNumber = number[segment]
            content = item.FrameContentSequence[0]
            content.TemporalPositionIndex = place
            content.DimensionIndexValues = [number[segment], place]
            referenced = item.DerivationImageSequence[0].SourceImageSequence[0]
            # Frame numbers begin with 1 (PS3.3 §10.3).
            referenced.ReferencedFrameNumber = frame.index + 1
            items.append(item)
            planes.append(instance.mask.full().ravel())
    written.PerFrameFunctionalGroupsSequence = items
    written.NumberOfFrames = len(items)
    written.SegmentsOverlap = "UNDEFINED"
    # Bits of all frames without gaps, the first one lowest (PS3.5 §8.1.1, §D).
    packed = np.packbits(np.concatenate(planes), bitorder="little").tobytes()
    written.PixelData = packed + bytes(len(packed) % 2)
    written["PixelData"].VR = "OB"
    dimension = deepcopy(written.DimensionIndexSequence[0])
    dimension.DimensionIndexPointer, dimension.FunctionalGroupPointer = 0x00209128, 0x00209111
    dimension.DimensionDescriptionLabel = "Temporal Position Index"
    written.DimensionIndexSequence.append(dimension)


def _references(item: Any) -> Iterator[Any]:
    """Every item below a dataset that names the source."""
    for element in item:
        if element.VR == "SQ":
            for below in element.value:
                if "ReferencedSOPClassUID" in below:
                    yield below
                yield from _references(below)


def _descriptions(
    asset: Asset, segments: Sequence[Segment], taxonomy: Taxonomy
) -> list[SegmentDescription]:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept

    names = {i.key: i.name for i in taxonomy.instruments}
    method = AlgorithmIdentificationSequence(
        name="Trocar",
        version=__version__,
        family=CodedConcept("123110", "DCM", "Artificial Intelligence"),
    )
    described = []
    for number, (label, track) in enumerate(segments, start=1):
        name = names.get(label, label)
        tracked = track >= 0
        described.append(
            SegmentDescription(
                segment_number=number,
                segment_label=(f"{name} {track}" if tracked else name)[:64],
                segmented_property_category=CodedConcept("260787004", "SCT", "Physical object"),
                segmented_property_type=CodedConcept(label, "99TROCAR", name[:64]),
                # A model proposed, a human corrected or accepted.
                algorithm_type="SEMIAUTOMATIC",
                algorithm_identification=method,
                tracking_id=f"{label} {track}" if tracked else None,
                tracking_uid=uid_of(asset.asset_id, label, str(track)) if tracked else None,
            )
        )
    return described
