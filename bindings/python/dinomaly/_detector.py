"""The detector: a trained model that judges images, and how one is trained."""

import json
import os
import pathlib
import tempfile

from ._dinomaly import InputError, Result, _Judge, _save_png, _train
from ._download import fetch_encoder


def _is_path(data):
    return isinstance(data, (str, os.PathLike))


def _from_pillow(image):
    """As a file of the same image would be read: turned by its EXIF orientation, palettes resolved."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode in ("1", "L"):
        return image.convert("L")
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        raise InputError(f"image: a PIL image of mode {image.mode} has no 8 bits; give its file's path, or an array of uint8")
    return image.convert("RGB")


def _pixels(data, name="image"):
    """An array of uint8, (height, width, channels)."""
    import numpy

    if hasattr(data, "getexif") and hasattr(data, "mode"):
        data = _from_pillow(data)
    array = numpy.asarray(data)
    if array.dtype != numpy.uint8:
        raise InputError(f"{name}: an array of {array.dtype}; pixels are uint8, from 0 to 255")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise InputError(f"{name}: an array of shape {array.shape}; expected (height, width) or (height, width, channels)")
    return numpy.ascontiguousarray(array)


def _image(data, name="image"):
    """As the module takes it: a path, a file's bytes, or an array of uint8."""
    if _is_path(data):
        return os.fspath(data)
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    return _pixels(data, name)


class Detector:
    """A trained model. predict() may be called from several threads at a time."""

    def __init__(self, judge: _Judge):
        self._judge = judge

    @classmethod
    def load(cls, path, **options) -> "Detector":
        """Opens a model's file, whole: what becomes of it later changes nothing.

        The options are named as the flags of `dinomaly predict`: device ("cpu"), encoder, area ("whole", "crop"), tile,
        overlap, roi, threshold, pixel_threshold, min_area, category, threads, heads, batch, fast, offline.
        """
        fetch_encoder(options.get("encoder"), options.get("offline"))
        return cls(_Judge(os.fspath(path), **options))

    @property
    def channels(self) -> int:
        """How many channels its images have."""
        return self._judge.channels

    @property
    def config(self) -> dict:
        """The options that it was trained with."""
        return json.loads(self._judge.config)

    def predict(self, image):
        """Judges a file (its path), the bytes of one, a PIL image, or an array of uint8: (height, width) grey,
        (height, width, channels) RGB, or with an alpha, which is dropped. Returns a Result.

        Of a list of such images, or an array (images, height, width, channels), a list of Results: several are on their
        way at a time, which takes less time than one after the other. An image that cannot be judged raises.

        Score, map, decision and regions are those of `dinomaly predict`, to the bit.
        """
        if isinstance(image, (list, tuple)) or getattr(image, "ndim", 0) == 4:
            return self._judge.each([_image(one, f"images[{i}]") for i, one in enumerate(image)])
        one = _image(image)
        if isinstance(one, str):
            return self._judge.file(one)
        return self._judge.encoded(one) if isinstance(one, bytes) else self._judge.pixels(one)


def _arguments(options):
    """The flags of `dinomaly train`: iterations=300 is --iterations 300, resume=True is --resume."""
    words = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(flag)
        elif isinstance(value, dict):  # set={"decoder_depth": 4}
            for key, setting in value.items():
                words += [flag, f"{key}={json.dumps(setting)}"]
        elif isinstance(value, (list, tuple)):
            words += [flag, ",".join(str(item) for item in value)]
        else:
            words += [flag, str(value)]
    return words


def _write_folder(images, folder):
    """A plain folder of good images: links to files, and what is in memory as PNG."""
    for index, image in enumerate(images):
        name = folder / f"{index:06d}"
        if _is_path(image):
            path = pathlib.Path(image).absolute()
            name.with_suffix(path.suffix).symlink_to(path)
        else:
            _save_png(name.with_suffix(".png"), _pixels(image))


def train(data=None, *, out="dinomaly-out", callback=None, **options) -> Detector:
    """Trains a detector as `dinomaly train` does, to the bit, and opens it.

    data: a data set's folder or CSV file, a folder of good images, or a list of good images (paths, PIL images, arrays).
    out: the folder of the results. callback: called after each step with a dict of iteration, loss, learning_rate, grad_norm
    and skipped. options: the flags of `dinomaly train`, as iterations=300, encoder="dinov2.safetensors", resume=True,
    set={"decoder_depth": 4}.

    Ctrl-C, or an exception of the callback, ends the training after the step; a checkpoint in `out` keeps the work, and
    resume=True goes on from it. What the program prints, this prints.
    """
    if options.get("separate"):
        raise InputError("train: separate trains several models; call train() for each category")
    fetch_encoder(options.get("encoder"), options.get("offline"))
    arguments = ["--out", os.fspath(out)] + _arguments(options)
    if data is None:
        folder = _train(arguments, callback)
    elif _is_path(data):
        folder = _train([os.fspath(data)] + arguments, callback)
    else:
        with tempfile.TemporaryDirectory(prefix="dinomaly-") as temporary:
            _write_folder(data, pathlib.Path(temporary))
            folder = _train([temporary] + arguments, callback)
    needed = {name: options[name] for name in ("encoder", "heads") if options.get("slim") and options.get(name)}
    return Detector.load(pathlib.Path(folder) / "model.safetensors", device=options.get("device") or "cpu", **needed)
