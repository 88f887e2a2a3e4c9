"""Golden losses, gradients and steps of the digits models, by PyTorch in binary64.

    python Tests/Golden/digits/generate.py      writes logistic.json and mlp.json beside itself

Made with Python 3.11, torch 2.13.0+cpu and safetensors 0.8.0. The batch is the first 16 images of
Simulations/Data/digits/test.safetensors; `after` is the loss after 10 steps of SGD at 0.1 on it.
"""

import json
import pathlib

import torch
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def forward(weights, values):
    index = 0
    while f"layers.{index}.weight" in weights:
        values = torch.relu(
            values @ weights[f"layers.{index}.weight"].T + weights[f"layers.{index}.bias"]
        )
        index += 1
    return values @ weights["classifier.weight"].T + weights["classifier.bias"]


def main() -> None:
    data = load_file(ROOT / "Simulations/Data/digits/test.safetensors")
    values = data["features"][:16].double() / 16
    labels = data["labels"][:16].long()
    for name in ("logistic", "mlp"):
        weights = load_file(ROOT / f"Models/digits-{name}/model.safetensors")
        weights = {key: value.double().requires_grad_() for key, value in weights.items()}
        found = {}
        for step in range(10):
            loss = torch.nn.functional.cross_entropy(forward(weights, values), labels)
            gradients = torch.autograd.grad(loss, list(weights.values()))
            if step == 0:
                found["loss"] = loss.item()
                found["gradients"] = {
                    key: [float(f"{x:.9g}") for x in gradient.flatten().tolist()]
                    for key, gradient in zip(weights, gradients)
                }
            with torch.no_grad():
                for value, gradient in zip(weights.values(), gradients):
                    value -= 0.1 * gradient
        loss = torch.nn.functional.cross_entropy(forward(weights, values), labels)
        found["after"] = loss.item()
        (HERE / f"{name}.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
