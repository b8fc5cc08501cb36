"""The detector: its numbers are the program's, to the bit; training, too."""

import json
import signal
import subprocess
import sys
import threading

import dinomaly
import numpy as np
import pytest
from PIL import Image

from conftest import OPTIONS, run_program


def said(project, image, tmp_path, *flags):
    """The program's JSON about an image, and its map."""
    line = run_program("predict", project.model, image, "--json", "--no-overlay", "--map-format", "npy", "--out", tmp_path, *flags)
    result = json.loads(line)
    return result, np.load(result.pop("map"))


def test_results_are_the_programs(project, tmp_path):
    threshold = dinomaly.Detector.load(project.model).predict(project.images[0]).map.mean()
    flags = ["--pixel-threshold", str(threshold)]
    detector = dinomaly.Detector.load(project.model, pixel_threshold=float(threshold))
    regions = 0
    for path in project.images[:6]:
        expected, anomaly_map = said(project, path, tmp_path, *flags)
        for image in [path, str(path), path.read_bytes(), Image.open(path), np.asarray(Image.open(path)),
                      Image.open(path).convert("RGBA"), bytearray(path.read_bytes())]:  # fmt: skip
            result = detector.predict(image)
            assert result.map.dtype == np.float32 and np.array_equal(result.map, anomaly_map)
            ours = json.loads(result.json())
            assert {**ours, "image": ""} == {**expected, "image": ""}
            assert np.float32(result.score) == np.float32(expected["score"])
            assert result.anomalous == expected["anomalous"] and result.decision in ("good", "anomalous")
            assert [list(region.box) for region in result.regions] == [region["box"] for region in expected["regions"]]
            assert (result.width, result.height) == (expected["width"], expected["height"])
        regions += len(result.regions)
    assert regions > 0


def test_several_are_judged_as_one_is(project):
    detector = dinomaly.Detector.load(project.model)
    paths = project.images[:9]
    expected = [detector.predict(path) for path in paths]
    arrays = [np.asarray(Image.open(path)) for path in paths]
    mixed = [arrays[0], Image.open(paths[1]), str(paths[2]), paths[3].read_bytes(), *paths[4:]]
    for images in [paths, tuple(paths), arrays, np.stack(arrays), mixed]:
        results = detector.predict(images)
        assert len(results) == len(paths)
        for result, alone in zip(results, expected):
            assert np.array_equal(result.map, alone.map)
            assert {**json.loads(result.json()), "image": ""} == {**json.loads(alone.json()), "image": ""}
    assert detector.predict([]) == [] and detector.predict(np.zeros((0, 8, 8, 3), np.uint8)) == []


def test_options_are_the_flags(project, tmp_path):
    image = project.images[0]
    for options, flags in [({"threshold": 0.25}, ["--threshold", "0.25"]),
                           ({"tile": 128, "overlap": 16, "threshold": 0.1}, ["--tile", "128", "--overlap", "16", "--threshold", "0.1"]),
                           ({"roi": "16,8,30,40", "threshold": 0.1}, ["--roi", "16,8,30,40", "--threshold", "0.1"]),
                           ({"min_area": 50, "threads": 1}, ["--min-area", "50"])]:  # fmt: skip
        expected, anomaly_map = said(project, image, tmp_path, *flags)
        result = dinomaly.Detector.load(project.model, **options).predict(image)
        assert np.array_equal(result.map, anomaly_map) and json.loads(result.json())["regions"] == expected["regions"]
        assert json.loads(result.json())["threshold"] == expected["threshold"]


def test_a_result_outlives_its_detector(project):
    result = dinomaly.Detector.load(project.model).predict(project.images[0])
    anomaly_map = result.map
    del result
    assert np.isfinite(anomaly_map).all() and anomaly_map.shape == (256, 256)


def test_threads(project):
    detector = dinomaly.Detector.load(project.model)
    alone = [detector.predict(path).map for path in project.images[:4]]
    wrong = []

    def judge():
        for path, expected in zip(project.images, alone):
            if not np.array_equal(detector.predict(path).map, expected):
                wrong.append(path)

    threads = [threading.Thread(target=judge) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong


@pytest.mark.parametrize("image, text", [
    ("/nowhere.png", "nowhere"),
    (b"no image", "image: "),
    (np.zeros((4, 4), np.float32), "float32"),
    (np.zeros((2, 2, 2, 2, 2), np.uint8), r"\(2, 2, 2, 2, 2\)"),
    (np.zeros((2, 4, 4, 7), np.uint8), r"images\[0\]: 7 channels"),
    ([b"no image"], r"images\[0\]: "),
    ([np.zeros((9, 9), np.uint8), np.zeros((9, 9))], r"images\[1\]: an array of float64"),
    (np.zeros((4, 4, 7), np.uint8), "7 channels"),
    (np.zeros((0, 4, 3), np.uint8), "0 pixels|4 x 0"),
    (Image.fromarray(np.zeros((4, 4), np.uint16)), "I;16"),
])  # fmt: skip
def test_bad_images(project, image, text):
    with pytest.raises(dinomaly.InputError, match=text):
        dinomaly.Detector.load(project.model).predict(image)


def test_bad_models_and_options(project, tmp_path):
    (tmp_path / "damaged").write_bytes(b"damaged")
    for path, options, text in [("/nowhere", {}, "nowhere"), (tmp_path / "damaged", {}, "damaged"),
                                (project.model, {"device": "abacus"}, "abacus"), (project.model, {"area": "moon"}, "moon"),
                                (project.model, {"threshold": float("nan")}, "threshold")]:  # fmt: skip
        with pytest.raises(dinomaly.InputError, match=text):
            dinomaly.Detector.load(path, **options)
    with pytest.raises(TypeError):
        dinomaly.Detector.load(project.model, unknown=1)


def test_training_is_the_programs(project, tmp_path):
    steps = []
    detector = dinomaly.train(project.data, out=tmp_path / "out", callback=steps.append, **OPTIONS)
    assert (tmp_path / "out/model.safetensors").read_bytes() == project.model.read_bytes()
    assert [step["iteration"] for step in steps] == list(range(8)) and all(step["loss"] > 0 for step in steps)
    assert detector.config["decoder_depth"] == 4 and detector.predict(project.images[0]).decision in ("good", "anomalous")


def test_training_on_a_list(project, tmp_path):
    files = sorted((project.data / "flange/train/good").glob("*.png"))
    images = [files[0], Image.open(files[1]), np.asarray(Image.open(files[2])), *map(str, files[3:])]
    detector = dinomaly.train(images, out=tmp_path / "out", **OPTIONS)
    assert detector.predict(files[0]).score > 0
    with pytest.raises(dinomaly.InputError):
        dinomaly.train([], out=tmp_path / "none", **OPTIONS)


def test_bad_training_options(tmp_path):
    for options in [{"iterations": "many"}, {"wrong_flag": 3}, {"encoder": "/nowhere"}, {"separate": True}]:
        with pytest.raises(dinomaly.InputError):
            dinomaly.train(tmp_path, out=tmp_path / "out", **options)


def test_an_exception_of_the_callback_leaves_a_checkpoint(project, tmp_path):
    def callback(step):
        if step["iteration"] == 3:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        dinomaly.train(project.data, out=tmp_path / "out", callback=callback, **OPTIONS)
    assert list((tmp_path / "out/checkpoints").glob("*4.safetensors"))
    dinomaly.train(project.data, out=tmp_path / "out", resume=True, **OPTIONS)
    assert (tmp_path / "out/model.safetensors").read_bytes() == project.model.read_bytes()


def test_ctrl_c_ends_training(project, tmp_path):
    code = f"""
import dinomaly, sys
def callback(step):
    if step["iteration"] == 2:
        print("running", file=sys.stderr, flush=True)
options = {OPTIONS!r}
options["iterations"] = 100000
try:
    dinomaly.train({str(project.data)!r}, out={str(tmp_path / "out")!r}, callback=callback, **options)
except KeyboardInterrupt:
    sys.exit(7)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in child.stderr:
        if "running" in line:
            break
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 7
    child.stderr.close()
    assert list((tmp_path / "out/checkpoints").glob("*.safetensors"))


