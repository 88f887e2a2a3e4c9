# Apache-2.0.
"""Training steps of the models of `fedbench train` in PyTorch: forward, backward, optimiser.

    python Benchmarks/train.py [--threads 1,4] [--runs 5] [--model WORD] [--scheme NAME] [--compile]

Frozen tensors have requires_grad off, as one does by hand. The last column is the peak memory of the
process up to then: take one model and one scheme a process to read it. torch 2.13.0+cpu,
transformers 5.23.
"""
import argparse
import re
import resource
import statistics
import time

import torch

from step import models

LAST = 6
SCHEMES = {
    "full": lambda name, head: True,
    "blocks:last=2+head": lambda name, head: block(name) >= LAST - 2 or head(name),
    "bias": lambda name, head: name.endswith(".bias"),
    "bias:last=2": lambda name, head: name.endswith(".bias") and block(name) >= LAST - 2,
    "head": lambda name, head: head(name),
}
OPTIMIZERS = {
    "SGD": lambda tensors: torch.optim.SGD(tensors, lr=1e-6),
    "AdamW": lambda tensors: torch.optim.AdamW(tensors, lr=1e-6),
}


def block(name):
    found = re.search(r"\.(\d+)\.", name)
    return int(found[1]) if found else -1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,4")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", default="")
    parser.add_argument("--scheme", choices=SCHEMES)
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    for title, model, batch in models():
        if arguments.model not in title:
            continue
        model.eval()  # no dropout, as in fedbench
        def head(name):
            return name.startswith(("classifier", "lm_head")) or (
                "embed_tokens" in name and model.config.tie_word_embeddings)
        called = torch.compile(model) if arguments.compile else model
        for threads in map(int, arguments.threads.split(",")):
            torch.set_num_threads(threads)
            for scheme in [arguments.scheme] if arguments.scheme else SCHEMES:
                chosen = []
                for name, parameter in model.named_parameters():
                    parameter.grad = None
                    parameter.requires_grad_(SCHEMES[scheme](name, head))
                    if parameter.requires_grad:
                        chosen.append(parameter)
                if not chosen:
                    continue
                for kind in ["SGD", "AdamW"] if scheme == "full" else ["SGD"]:
                    optimizer = OPTIMIZERS[kind](chosen)
                    seconds = []
                    for _ in range(arguments.runs + 1):
                        start = time.perf_counter()
                        optimizer.zero_grad()
                        called(**batch).loss.backward()
                        optimizer.step()
                        seconds.append(time.perf_counter() - start)
                    median = statistics.median(seconds[1:]) * 1e3
                    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                    print(f"torch train {title}, {scheme}, {kind}, {threads} threads: "
                          f"median {median:.1f} ms, peak {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
