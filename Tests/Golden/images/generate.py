#!/usr/bin/env python3
"""Pictures of other extents as PyTorch interpolates them: what the tests of ImageInput compare with.

Made with torch 2.13.0+cpu; run it here: python3 generate.py
resized.json has cases of samples [height, width, channels], each of 0 … maximum, and values, the
normalised picture of the extents asked for, row by row with the channels of a pixel side by side.
"""
import json, pathlib
import torch

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
CASES = [(5, 7, 3, 255, 3, 4), (4, 6, 1, 255, 9, 8), (1, 3, 3, 31, 2, 2), (6, 5, 3, 255, 6, 5),
         (8, 3, 1, 255, 8, 9)]


def case(index, height, width, channels, maximum, to_height, to_width):
    count = height * width * channels
    samples = [(i * 7919 + index * 101) % 2003 % (maximum + 1) for i in range(count)]
    image = torch.tensor(samples, dtype=torch.float32).reshape(height, width, channels) / maximum
    image = image.permute(2, 0, 1)[None]
    image = torch.nn.functional.interpolate(
        image, size=(to_height, to_width), mode="bilinear", align_corners=False)
    image = image.expand(-1, 3, -1, -1)[0].permute(1, 2, 0)
    values = (image - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    return dict(height=height, width=width, channels=channels, maximum=maximum, samples=samples,
                to_height=to_height, to_width=to_width,
                values=[round(v, 7) for v in values.flatten().tolist()])


path = pathlib.Path(__file__).parent / "resized.json"
cases = [case(i, *c) for i, c in enumerate(CASES)]
path.write_text("[" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "]\n")
