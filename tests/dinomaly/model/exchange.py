"""The other implementation's side of exchange_test.cpp.

  exchange.py score authors|dinomaly2|anomalib DETECTOR.safetensors IO.safetensors   score IO's images with an exported detector
  exchange.py save authors|dinomaly2|anomalib CHECKPOINT IO.safetensors              save a random detector, and what it says

Scores go to IO as `map` and `score`. Exit status 77: a package is not installed.
"""
import sys

SHAPE = {"width": 32, "heads": 2, "depth": 12, "patch": 14, "grid": 4, "registers": 4}

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError:
    sys.exit(77)


def randomize(module):
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dim() == 1:
                parameter.normal_(1.0 if name.endswith(("weight", "gamma")) else 0.0, 0.2)
            else:
                parameter.normal_(0, 0.5 if name.endswith(("token", "tokens", "embed")) else parameter[0].numel() ** -0.5)


class Authors:
    def __init__(self, second=False):
        import torch_dinomaly
        make = torch_dinomaly.TorchDinomaly2 if second else torch_dinomaly.TorchDinomaly
        self.model = make(**SHAPE).eval()

    def load(self, path):
        self.model.load_state_dict(load_file(path), strict=True)

    def save(self, path):
        randomize(self.model)
        torch.save(self.model.state_dict(), path)

    def __call__(self, images):
        return self.model(images)


class Anomalib:
    """anomalib's own module, its ViT-S made as small as the test's."""

    def __init__(self):
        try:
            import anomalib.models.components.feature_extractors.timm as extractor
            import anomalib.models.image.dinomaly.torch_model as torch_model
            from anomalib.models import Dinomaly
        except ImportError:
            sys.exit(77)
        create = extractor.timm.create_model

        def create_small(*args, **options):
            options.update(pretrained=False, embed_dim=SHAPE["width"], num_heads=SHAPE["heads"], depth=SHAPE["depth"],
                           img_size=SHAPE["grid"] * SHAPE["patch"])
            return create(*args, **options)

        extractor.timm.create_model = create_small
        torch_model.DINO_ARCHITECTURES["small"].update(embed_dim=SHAPE["width"], num_heads=SHAPE["heads"])
        self.type = Dinomaly
        self.model = Dinomaly(encoder_name="vit_small_patch14_reg4_dinov2", evaluator=False, visualizer=False).eval()

    def load(self, path):
        self.model.load_state_dict(load_file(path), strict=True)
        self.checkpoint(f"{path}.ckpt")
        # As anomalib's own programs load it: tensors, numbers and the types it allows, nothing that runs.
        self.model = self.type.load_from_checkpoint(f"{path}.ckpt", weights_only=True, map_location="cpu", evaluator=False,
                                                    visualizer=False).eval()

    def save(self, path):
        randomize(self.model.model)
        self.checkpoint(path)
        self.type.load_from_checkpoint(path, weights_only=True, map_location="cpu", evaluator=False, visualizer=False)

    def checkpoint(self, path):
        from lightning.pytorch import Trainer
        trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
        trainer.strategy.connect(self.model)
        trainer.save_checkpoint(path)

    def __call__(self, images):
        result = self.model.model(images)
        return result.anomaly_map[:, 0], result.pred_score


def main():
    command, kind, model_path, io_path = sys.argv[1:]
    model = {"authors": Authors, "dinomaly2": lambda: Authors(second=True), "anomalib": Anomalib}[kind]()
    if command == "score":
        model.load(model_path)
        images = load_file(io_path)["images"]
    else:
        model.save(model_path)
        images = torch.randn(3, 3, 70, 84, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        anomaly, score = model(images)
    save_file({"images": images, "map": anomaly.contiguous(), "score": score.contiguous()}, io_path)


if __name__ == "__main__":
    main()
