"""Frames from files, exact by packet index; playback. The only room that knows av."""

from app.video.cache import FrameCache
from app.video.decoder import SeekCancelled, UndecodableFrame
from app.video.fingerprint import describe_asset, full_hash, joined_hash, quick_hash
from app.video.index import OpenCancelled, PacketIndex
from app.video.info import StreamInfo, VideoInfo
from app.video.kept import keep_indices_in
from app.video.opening import fingerprinted, open_recording, open_video, probe
from app.video.player import Player
from app.video.player_state import PlayerState, ShownFrame
from app.video.source import VideoSource
from app.video.split.joined import MissingPart
from app.video.split.joining import describe_joined, find_recordings

__all__ = [
    "FrameCache",
    "MissingPart",
    "OpenCancelled",
    "PacketIndex",
    "Player",
    "PlayerState",
    "SeekCancelled",
    "ShownFrame",
    "StreamInfo",
    "UndecodableFrame",
    "VideoInfo",
    "VideoSource",
    "describe_asset",
    "describe_joined",
    "find_recordings",
    "fingerprinted",
    "full_hash",
    "joined_hash",
    "keep_indices_in",
    "open_recording",
    "open_video",
    "probe",
    "quick_hash",
]
