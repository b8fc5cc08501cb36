"""Trains a detector on a folder of images, and judges one: detect.py DATA IMAGE [OUT]"""

import sys

import dinomaly


def detect(data, image, out, **options):
    # [snippet: detect]
    detector = dinomaly.train(data, out=out, callback=lambda step: None, **options)
    detector = dinomaly.Detector.load(f"{out}/model.safetensors")
    result = detector.predict(image)  # a path, an array of uint8, a PIL image, or a file's bytes
    print(result.score, result.decision, result.regions, result.map.shape)
    # [end]
    return result


if __name__ == "__main__":
    detect(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "dinomaly-out")
