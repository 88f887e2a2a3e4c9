# Apache-2.0.
"""Bringing a decoder of 9.63 M parameters to a version the reference way, in PyTorch.

    python Benchmarks/replay.py [--threads 1,4] [--seeds 8]

As published seed methods do it: for each seed, `torch.manual_seed`, then one `torch.normal` for each
tensor in the order of the model, scaled and subtracted. A few seeds are timed; a bank of K of them
takes K times as long. torch 2.13.0+cpu, transformers 5.23.
"""
import argparse
import statistics
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,4")
    parser.add_argument("--seeds", type=int, default=8)
    arguments = parser.parse_args()
    model = LlamaForCausalLM(LlamaConfig(
        hidden_size=320, intermediate_size=896, num_hidden_layers=6, num_attention_heads=10,
        num_key_value_heads=5, vocab_size=8192, max_position_embeddings=512,
        tie_word_embeddings=True,
    ))
    tensors = [parameter.data for parameter in model.parameters()]
    count = sum(tensor.numel() for tensor in tensors)

    def apply(seed, amount):
        torch.manual_seed(seed)
        for tensor in tensors:
            z = torch.normal(mean=0, std=1, size=tensor.shape, dtype=tensor.dtype)
            tensor.sub_(z, alpha=amount)

    for threads in map(int, arguments.threads.split(",")):
        torch.set_num_threads(threads)
        apply(0, 1e-9)
        seconds = []
        for seed in range(1, arguments.seeds + 1):
            start = time.perf_counter()
            apply(seed, 1e-9)
            seconds.append(time.perf_counter() - start)
        print(
            f"torch replay, {threads} threads: median {statistics.median(seconds) * 1e3:.2f} ms,"
            f" least {min(seconds) * 1e3:.2f} ms a seed of {count} parameters",
            flush=True,
        )


if __name__ == "__main__":
    main()
