# Apache-2.0.
"""Training steps of MobileNetV2-0.35 at 128×128 in PyTorch and in onnxruntime-training.

    python Benchmarks/vision.py [--threads 1] [--batch 1] [--runs 20] [--framework torch|frozen|ort]
    python Benchmarks/vision.py --fedbench .build/release/fedbench [--ort PYTHON --artifacts FOLDER]

The network of `fedbench train --model mobilenet`: forward, backward, SGD over every parameter, 20
classes. `torch` has the norms folded into the convolutions, as ours are; `frozen` keeps batch norms
at their stored statistics, with gains and biases that train. `ort` reads vision-artifacts, a folder
that `--export FOLDER` writes where torch is there, and needs onnxruntime-training 1.19.2 in an
environment of its own (onnx 1.16.2, numpy 2.2.6, and torch for its import). The last column is the
peak memory of the process. With --fedbench the three take turns. torch 2.13.0+cpu.
"""
import argparse
import re
import resource
import statistics
import subprocess
import sys
import time

BLOCKS = [(0, 1, 8), (48, 2, 8), (48, 1, 8), (48, 2, 16), (96, 1, 16), (96, 1, 16), (96, 2, 24),
          (144, 1, 24), (144, 1, 24), (144, 1, 24), (144, 1, 32), (192, 1, 32), (192, 1, 32),
          (192, 2, 56), (336, 1, 56), (336, 1, 56), (336, 1, 112)]
CLASSES = 20


def network(norms):
    import torch
    from torch import nn

    def layer(inputs, outputs, size, stride, groups, clamps):
        parts = [nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=not norms)]
        if norms:
            parts.append(nn.BatchNorm2d(outputs))
        return nn.Sequential(*parts, *[nn.ReLU6()] * clamps)

    class Block(nn.Module):
        def __init__(self, inputs, expansion, stride, outputs):
            super().__init__()
            width = expansion or inputs
            self.layers = nn.Sequential(
                *[layer(inputs, width, 1, 1, 1, True)] * bool(expansion),
                layer(width, width, 3, stride, width, True),
                layer(width, outputs, 1, 1, 1, False))
            self.adds = stride == 1 and inputs == outputs

        def forward(self, x):
            return x + self.layers(x) if self.adds else self.layers(x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            layers, inputs = [layer(3, 16, 3, 2, 1, True)], 16
            for expansion, stride, outputs in BLOCKS:
                layers.append(Block(inputs, expansion, stride, outputs))
                inputs = outputs
            self.layers = nn.Sequential(*layers)
            self.classifier = nn.Linear(inputs, CLASSES)

        def forward(self, x):
            return self.classifier(self.layers(x).mean((2, 3)))

    torch.manual_seed(0)
    return Net().eval()


def export(folder, batch):
    """Writes the graphs onnxruntime trains with."""
    import onnx
    import torch
    from onnxruntime.training import artifacts
    net = network(False)
    path = f"{folder}/forward.onnx"
    torch.onnx.export(
        net, torch.randn(batch, 3, 128, 128), path, input_names=["images"],
        output_names=["logits"], training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False, opset_version=14, dynamo=False)
    model = onnx.load(path)
    names = [name for name, _ in net.named_parameters()]
    artifacts.generate_artifacts(
        model, requires_grad=names, loss=artifacts.LossType.CrossEntropyLoss,
        optimizer=artifacts.OptimType.SGD, artifact_directory=folder)


def torch_step(framework, batch, threads):
    import torch
    torch.set_num_threads(threads)
    net = network(framework == "frozen")
    images = torch.randn(batch, 3, 128, 128)
    labels = torch.arange(batch) % CLASSES
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-6)
    loss = torch.nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad()
        loss(net(images), labels).backward()
        optimizer.step()
    return step


def ort_step(folder, batch, threads):
    import numpy
    import onnxruntime
    from onnxruntime.training import api
    state = api.CheckpointState.load_checkpoint(f"{folder}/checkpoint")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    module = api.Module(f"{folder}/training_model.onnx", state, f"{folder}/eval_model.onnx",
                        device="cpu", session_options=options)
    optimizer = api.Optimizer(f"{folder}/optimizer_model.onnx", module)
    optimizer.set_learning_rate(1e-6)
    module.train()
    images = numpy.random.randn(batch, 3, 128, 128).astype(numpy.float32)
    labels = (numpy.arange(batch) % CLASSES).astype(numpy.int64)

    def step():
        module(images, labels)
        optimizer.step()
        module.lazy_reset_grad()
    return step


def turns(arguments):
    """Medians of ours, PyTorch's and onnxruntime's one after another, and the medians of the ratios."""
    batch, threads = str(arguments.batch), str(arguments.threads)

    def ours():
        words = [arguments.fedbench, "train", "--model", f"b{batch}", "--scheme", "full",
                 "--optimizer", "sgd", "--threads", threads]
        text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        return float(re.search(r"train MobileNet.*?([\d.]+) ms", text)[1])

    def theirs(python, framework):
        words = [python, __file__, "--framework", framework, "--batch", batch, "--threads", threads,
                 "--artifacts", arguments.artifacts]
        text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        return float(re.search(r"median ([\d.]+) ms", text)[1])

    peers = {"torch": sys.executable, "frozen": sys.executable}
    if arguments.ort:
        peers["ort"] = arguments.ort
    ratios = {name: [] for name in peers}
    for _ in range(arguments.rounds):
        for name, python in peers.items():
            own = ours()
            other = theirs(python, name)
            ratios[name].append(other / own)
            print(f"b{batch}, {threads} threads: {own:.2f} ms, {name} {other:.2f} ms")
    for name, values in ratios.items():
        print(f"{name}: {statistics.median(values):.2f} times as long "
              f"({min(values):.2f} to {max(values):.2f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--framework", choices=["torch", "frozen", "ort"], default="torch")
    parser.add_argument("--artifacts", default="vision-artifacts")
    parser.add_argument("--export", metavar="FOLDER")
    parser.add_argument("--fedbench")
    parser.add_argument("--ort", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.fedbench:
        turns(arguments)
        return
    if arguments.export:
        export(arguments.export, arguments.batch)
        return
    step = (ort_step(arguments.artifacts, arguments.batch, arguments.threads)
            if arguments.framework == "ort"
            else torch_step(arguments.framework, arguments.batch, arguments.threads))
    wall, processor = [], []
    for _ in range(arguments.runs + 3):
        start, own = time.perf_counter(), time.process_time()
        step()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - own)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{arguments.framework} MobileNetV2-0.35 128² b{arguments.batch}, full, SGD, "
          f"{arguments.threads} threads: median {statistics.median(wall[3:]) * 1e3:.1f} ms, "
          f"least processor time {min(processor[3:]) * 1e3:.1f} ms, peak {peak:.0f} MiB")


main()
