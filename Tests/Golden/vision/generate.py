#!/usr/bin/env python3
"""Convolutional networks of PyTorch: what the tests of their family compare with.

Made with torch 2.13.0+cpu and safetensors; run it here:
    python3 generate.py [NAME ...]
NAME/config.json describes a network. `tiny` has a checkpoint with batch norms (model.safetensors) and
gradients of the same network after they were folded; the others are whole networks whose weights are
a formula (`drawn`), so that no checkpoint need be stored. NAME/expected.safetensors has labels [B],
logits [B, N], the mean `loss`, `grad.PARAMETER` (of whole networks at most 48 elements at equal
distances from the first, and the norm of all as `norm.PARAMETER`), and `sgd` and `adamw`: the losses
of 21 steps on that one batch, the first before any. Images are `drawn` too.
"""
import json, pathlib, sys
import numpy
import torch
from safetensors.torch import save_file
from torch import nn

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).parent
MCUNET = [(0, 3, 1, 8), (32, 3, 2, 16), (48, 3, 1, 16), (48, 7, 2, 24), (120, 3, 1, 24),
          (120, 3, 2, 40), (160, 7, 1, 40), (160, 5, 1, 48), (144, 3, 1, 48), (192, 3, 1, 48),
          (240, 7, 2, 96), (384, 5, 1, 96), (384, 5, 1, 96), (576, 3, 1, 160)]
MOBILENET = [(0, 3, 1, 8), (48, 3, 2, 8), (48, 3, 1, 8), (48, 3, 2, 16), (96, 3, 1, 16),
             (96, 3, 1, 16), (96, 3, 2, 24), (144, 3, 1, 24), (144, 3, 1, 24), (144, 3, 1, 24),
             (144, 3, 1, 32), (192, 3, 1, 32), (192, 3, 1, 32), (192, 3, 2, 56), (336, 3, 1, 56),
             (336, 3, 1, 56), (336, 3, 1, 112)]
PROXYLESS = [(0, 3, 1, 8), (24, 5, 2, 16), (48, 3, 1, 16), (48, 7, 2, 16), (48, 3, 1, 16),
             (48, 5, 1, 16), (48, 5, 1, 16), (96, 7, 2, 24), (72, 5, 1, 24), (72, 5, 1, 24),
             (72, 5, 1, 24), (144, 5, 1, 32), (96, 5, 1, 32), (96, 5, 1, 32), (96, 5, 1, 32),
             (192, 7, 2, 64), (384, 7, 1, 64), (192, 7, 1, 64), (192, 7, 1, 64), (384, 7, 1, 96)]
TINY = [(0, 3, 1, 8), (16, 7, 2, 12), (20, 5, 1, 12), (24, 3, 1, 10)]
NETS = {
    "tiny": (12, TINY, dict(stem_channels=12, blocks=TINY, image_size=[14, 18])),
    "mobilenetv2": (16, MOBILENET, dict(architecture="mobilenetv2", width_multiplier=0.35,
                                        image_size=[32, 48])),
    "mcunet": (16, MCUNET, dict(architecture="mcunet-5fps", image_size=32)),
    "proxyless": (16, PROXYLESS, dict(architecture="proxyless-0.3", image_size=32)),
}
CLASSES, IMAGES = 5, 3


def drawn(stream, shape, bound):
    """Floats in ±bound: element i of a stream is a hash of both."""
    count = int(numpy.prod(shape))
    x = (numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(stream * 1000003)) * numpy.uint64(2654435761)
    mask = numpy.uint64(0xFFFFFFFF)
    x &= mask
    x ^= x >> numpy.uint64(15)
    x = x * numpy.uint64(2246822519) & mask
    x ^= x >> numpy.uint64(13)
    x = x * numpy.uint64(3266489917) & mask
    x ^= x >> numpy.uint64(16)
    values = (x.astype(numpy.float64) / 2**32 - 0.5) * 2 * bound
    return torch.from_numpy(values.astype(numpy.float32).reshape(shape))


class Layer(nn.Module):
    def __init__(self, inputs, outputs, size, stride, groups, norm, clamps):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=not norm)
        if norm:
            self.bn = nn.BatchNorm2d(outputs)
        self.clamps = clamps

    def forward(self, x):
        x = self.conv(x)
        if hasattr(self, "bn"):
            x = self.bn(x)
        return nn.functional.relu6(x) if self.clamps else x

    def folded(self):
        scale = self.bn.weight.double() / torch.sqrt(self.bn.running_var.double() + self.bn.eps)
        weight = (self.conv.weight.double() * scale[:, None, None, None]).float()
        return weight, (self.bn.bias.double() - self.bn.running_mean.double() * scale).float()


class Block(nn.Module):
    def __init__(self, inputs, expansion, size, stride, outputs, norm):
        super().__init__()
        width = expansion or inputs
        if expansion:
            self.expand = Layer(inputs, width, 1, 1, 1, norm, True)
        self.depthwise = Layer(width, width, size, stride, width, norm, True)
        self.project = Layer(width, outputs, 1, 1, 1, norm, False)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.expand(x) if hasattr(self, "expand") else x
        y = self.project(self.depthwise(y))
        return x + y if self.adds else y


class Net(nn.Module):
    def __init__(self, stem, blocks, norm=False):
        super().__init__()
        self.stem = Layer(3, stem, 3, 2, 1, norm, True)
        self.blocks = nn.ModuleList()
        inputs = stem
        for expansion, size, stride, outputs in blocks:
            self.blocks.append(Block(inputs, expansion, size, stride, outputs, norm))
            inputs = outputs
        self.classifier = nn.Linear(inputs, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.classifier(x.mean((2, 3)))

    def draw(self):
        names = sorted(name for name, _ in self.named_parameters())
        for name, parameter in self.named_parameters():
            matrix = parameter.dim() > 1
            fan = parameter[0].numel() if matrix else 0
            bound = (6 / fan) ** 0.5 if matrix else 0.1
            parameter.data = drawn(names.index(name), parameter.shape, bound)
        return self


def expected(make, images, labels, whole):
    model = make()
    logits = model(images)
    loss = nn.functional.cross_entropy(logits, labels)
    loss.backward()
    tensors = dict(labels=labels.int(), logits=logits.detach(), loss=loss.detach().reshape(1))
    for name, parameter in model.named_parameters():
        gradient = parameter.grad.reshape(-1)
        if whole:
            tensors[f"norm.{name}"] = gradient.norm().reshape(1)
            gradient = gradient[::max(1, -(-len(gradient) // 48))]
        tensors[f"grad.{name}"] = gradient.contiguous()
    for key, optimizer in dict(
            sgd=lambda p: torch.optim.SGD(p, lr=0.002),
            adamw=lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.01)).items():
        model = make()
        steps = optimizer(model.parameters())
        losses = []
        for _ in range(21):
            loss = nn.functional.cross_entropy(model(images), labels)
            losses.append(loss.item())
            steps.zero_grad()
            loss.backward()
            steps.step()
        tensors[key] = torch.tensor(losses)
    return tensors


for index, (name, (stem, blocks, settings)) in enumerate(NETS.items()):
    if name not in (sys.argv[1:] or NETS):
        continue
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    size = settings["image_size"]
    height, width = size if isinstance(size, list) else (size, size)
    # Streams of images lie beyond those of parameters. Pixels row by row, their channels side by side.
    images = drawn(1000 + index, (IMAGES, height, width, 3), 1.0).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor([2, 0, 4])
    if name == "tiny":
        torch.manual_seed(7)
        norms = Net(stem, blocks, norm=True).eval()
        for module in norms.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.2, 0.2)
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.05, 0.3)
        save_file({k: v.contiguous() for k, v in norms.state_dict().items()},
                  folder / "model.safetensors")

        def make():
            net = Net(stem, blocks)
            layers = dict(net.named_modules())
            for path, layer in norms.named_modules():
                if isinstance(layer, Layer):
                    weight, bias = layer.folded()
                    layers[path].conv.weight.data, layers[path].conv.bias.data = weight, bias
            net.classifier.load_state_dict(norms.classifier.state_dict())
            return net
        difference = (norms(images) - make()(images)).abs().max().item()
        assert difference < 1e-5, difference
    else:
        def make():
            return Net(stem, blocks).draw()
    tensors = expected(make, images, labels, name != "tiny")
    save_file(tensors, folder / "expected.safetensors")
    config = dict(model_type="samara_convolutional", num_labels=CLASSES, **settings)
    (folder / "config.json").write_text(json.dumps(config) + "\n")
    print(name, tensors["loss"].item(), tensors["sgd"][-1].item(), tensors["adamw"][-1].item(),
          sum(p.numel() for p in make().parameters()))
