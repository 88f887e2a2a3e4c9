"""The optical digits of UCI as two safetensors files, and models to begin with.

    python Simulations/Data/digits/make_digits.py       writes here and below Models/

Made with Python 3.11, scikit-learn 1.9.1, numpy 2.5.1 and safetensors 0.8.0: 1,797 images of 8 x 8
pixels with 17 grey levels. Every fifth image of a class, in the order of the file, is held out. The
models are the beginning of a run, not the end: the logistic regression is zero, the MLP is drawn
from uniform distributions within 1/sqrt(inputs), as PyTorch draws linear layers.
"""

import json
import pathlib

import numpy as np
from safetensors.numpy import save_file
from sklearn.datasets import load_digits

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE.parents[2] / "Models"


def data() -> None:
    digits = load_digits()
    held_out = np.zeros(len(digits.target), bool)
    for label in range(10):
        held_out[np.flatnonzero(digits.target == label)[4::5]] = True
    for name, rows in (("train", ~held_out), ("test", held_out)):
        save_file(
            {
                "features": digits.data[rows].astype(np.uint8),
                "labels": digits.target[rows].astype(np.uint8),
            },
            HERE / f"{name}.safetensors",
            {"mean": "0", "scale": "0.0625"},
        )
        print(name, rows.sum(), "images")


def model(name: str, hidden: list[int], draw) -> None:
    folder = MODELS / name
    folder.mkdir(exist_ok=True)
    sizes = [64] + hidden
    tensors = {}
    for index, (inputs, outputs) in enumerate(zip(sizes, hidden)):
        tensors[f"layers.{index}.weight"] = draw((outputs, inputs), inputs)
        tensors[f"layers.{index}.bias"] = draw((outputs,), inputs)
    tensors["classifier.weight"] = draw((10, sizes[-1]), sizes[-1])
    tensors["classifier.bias"] = draw((10,), sizes[-1])
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = {
        "model_type": "samara_mlp",
        "architectures": ["SamaraMLP"],
        "input_size": 64,
        "hidden_sizes": hidden,
        "activation": "relu",
        "num_labels": 10,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    data()
    model("digits-logistic", [], lambda shape, _: np.zeros(shape, np.float32))
    stream = np.random.Generator(np.random.PCG64(1))
    model(
        "digits-mlp",
        [32],
        lambda shape, inputs: stream.uniform(-1, 1, shape).astype(np.float32)
        / np.float32(np.sqrt(inputs)),
    )


if __name__ == "__main__":
    main()
