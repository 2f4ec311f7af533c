"""An RTSP server whose pictures come from its standard input. Runs in Debian's own Python (gi).

``python3 rtsp_server.py PORT WIDTH HEIGHT RATE``; prints ``ready``. Pictures are RGB, one after the
other. A client that leaves and comes again gets the pictures of then.
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - their versions come first

PORT, WIDTH, HEIGHT, RATE = sys.argv[1], *map(int, sys.argv[2:5])
LAUNCH = (
    f"( appsrc name=source is-live=true do-timestamp=true format=time "
    f"caps=video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate={RATE}/1 "
    f"! videoconvert ! video/x-raw,format=I420 "
    f"! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 threads=1 "
    f"! rtph264pay name=pay0 pt=96 config-interval=1 )"
)


class Feed:
    """Hands every picture to the pipelines that are there now."""

    def __init__(self) -> None:
        self._sources = []
        self._lock = threading.Lock()

    def configured(self, _factory, media) -> None:
        """A client came: its pipeline is made."""
        source = media.get_element().get_by_name_recurse_up("source")
        with self._lock:
            self._sources.append(source)
        media.connect("unprepared", self._gone, source)

    def _gone(self, _media, source) -> None:
        with self._lock:
            self._sources.remove(source)

    def read(self) -> None:
        """Until standard input ends."""
        size = WIDTH * HEIGHT * 3
        while len(data := sys.stdin.buffer.read(size)) == size:
            with self._lock:
                for source in self._sources:
                    source.emit("push-buffer", Gst.Buffer.new_wrapped(data))
        loop.quit()


Gst.init(None)
loop, feed = GLib.MainLoop(), Feed()
server = GstRtspServer.RTSPServer()
server.set_service(PORT)
server.set_address("127.0.0.1")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(LAUNCH)
factory.set_shared(True)
factory.connect("media-configure", feed.configured)
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
threading.Thread(target=feed.read, daemon=True).start()
sys.stdout.write("ready\n")
sys.stdout.flush()
loop.run()
