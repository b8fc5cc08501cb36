"""Encoders by name: fetched once, from a mirror on the loopback; nothing is left of what is no encoder or breaks off."""

import functools
import http.server
import os
import pathlib
import threading

import dinomaly
import pytest

from conftest import OPTIONS

FILE = "dinov2_vits14_reg4_pretrain.pth"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Serves tmp_path/mirror; what is fetched goes to tmp_path/home."""
    (tmp_path / "mirror").mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            asked.append(self.path)
            if not (tmp_path / "cut").exists():
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"some")

    asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path / "mirror")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("DINOMALY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DINOMALY_MIRROR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("DINOMALY_OFFLINE", raising=False)
    yield asked
    server.shutdown()


def left(tmp_path):
    home = tmp_path / "home"
    return sorted(name for name in (os.listdir(home) if home.exists() else []) if not name.endswith(".lock"))


def test_what_cannot_be_had_is_one_line_and_no_file(mirror, tmp_path, project):
    def refused(text, **options):
        with pytest.raises(dinomaly.InputError, match=text):
            dinomaly.train(project.data, out=tmp_path / "out", encoder="dinov2-small-reg", **options, **OPTIONS)
        assert left(tmp_path) == [] and not (tmp_path / "out").exists()

    refused("not on this machine", offline=True)
    assert mirror == []
    refused("127.0.0.1.*File not found")
    (tmp_path / "mirror" / FILE).write_bytes(b"<html>Please log in</html>")
    refused("is not dinov2-small-reg: ")
    (tmp_path / "cut").touch()
    refused("broke off after 4 of 100000 bytes|IncompleteRead")
    assert mirror == [f"/{FILE}"] * 3


def test_one_that_is_there_is_used(mirror, tmp_path, project):
    home = tmp_path / "home"
    home.mkdir()
    encoder = pathlib.Path(__file__).parents[2] / "assets/encoder.safetensors"
    (home / FILE).write_bytes(encoder.read_bytes())
    dinomaly.train(project.data, out=tmp_path / "out", encoder="dinov2-small-reg", heads=3, slim=True, **OPTIONS)
    assert mirror == [] and left(tmp_path) == [FILE, FILE + ".sha256"]
    detector = dinomaly.Detector.load(tmp_path / "out/model.safetensors", encoder="dinov2-small-reg", offline=True)
    assert detector.predict(project.images[0]).score > 0
