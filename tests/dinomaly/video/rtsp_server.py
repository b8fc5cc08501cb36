"""A camera on the loopback that speaks RTSP, by GStreamer: rtsp_server.py FOLDER PORT.

/live: the pictures FOLDER/f000.png, ... ten a second, for ever, as the JPEGs that are then beside them. PORT 0: any. Prints the
port. Exit status 77 where GStreamer's RTSP server is not installed.
"""

import pathlib
import sys

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    needed = ["appsrc", "jpegenc", "jpegparse", "multifilesink", "multifilesrc", "pngdec", "rtpjpegpay", "videoconvert"]
    if not all(map(Gst.ElementFactory.find, needed)):
        sys.exit(77)
except (ImportError, ValueError):
    sys.exit(77)


def write_jpegs(folder):
    """With colours at half the resolution, as RTP wants them."""
    pipeline = Gst.parse_launch(
        f'multifilesrc location="{folder}/f%03d.png" caps="image/png,framerate=10/1" ! pngdec ! videoconvert'
        f' ! video/x-raw,format=I420 ! jpegenc quality=95 ! multifilesink location="{folder}/f%03d.jpg"')
    pipeline.set_state(Gst.State.PLAYING)
    pipeline.get_bus().timed_pop_filtered(30 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)


def feed(_factory, media):
    source, numbers = media.get_element().get_by_name("source"), iter(range(1 << 30))

    def push(*_):
        number = next(numbers)
        buffer = Gst.Buffer.new_wrapped(pictures[number % len(pictures)])
        buffer.pts, buffer.duration = number * Gst.SECOND // 10, Gst.SECOND // 10
        source.emit("push-buffer", buffer)

    source.connect("need-data", push)


folder, port = sys.argv[1:]
write_jpegs(folder)
pictures = [path.read_bytes() for path in sorted(pathlib.Path(folder).glob("*.jpg"))]
server = GstRtspServer.RTSPServer.new()
server.set_address("127.0.0.1")
server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory.new()
factory.set_launch('( appsrc name=source format=time is-live=true caps="image/jpeg,framerate=10/1" ! jpegparse ! rtpjpegpay name=pay0 )')
factory.connect("media-configure", feed)
server.get_mount_points().add_factory("/live", factory)
if server.attach(None) == 0:
    sys.exit(f"port {port} is taken")
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
