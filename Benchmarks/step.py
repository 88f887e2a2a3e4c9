# Apache-2.0.
"""A zeroth-order step on all weights of the models of `fedbench step`, in PyTorch, as MeZO does it.

    python Benchmarks/step.py [--threads 1,4] [--runs 5]

Add +εz, loss, add −2εz, loss, add +εz, move: z is made four times from one seed, by one
`torch.normal` for each tensor, as published trainers do. torch 2.13.0+cpu, transformers 5.23.
"""
import argparse
import statistics
import time

import torch
from transformers import (
    BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM,
)

EPSILON = 1e-3


def models():
    bert = BertConfig(
        hidden_size=384, intermediate_size=1536, num_hidden_layers=6, num_attention_heads=12,
        vocab_size=30522, max_position_embeddings=512, num_labels=20,
    )
    llama = LlamaConfig(
        hidden_size=320, intermediate_size=896, num_hidden_layers=6, num_attention_heads=10,
        num_key_value_heads=5, vocab_size=8192, max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    ids = torch.arange(8 * 128).reshape(8, 128) * 7919 % bert.vocab_size
    yield "MiniLM 8x128", BertForSequenceClassification(bert), {
        "input_ids": ids, "labels": torch.arange(8) % 20}
    ids = torch.arange(8 * 256).reshape(8, 256) * 7919 % llama.vocab_size
    yield "Llama 10M 8x256", LlamaForCausalLM(llama), {
        "input_ids": ids, "labels": ids, "use_cache": False}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,4")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    for name, model, batch in models():
        model.eval()
        tensors = [parameter.data for parameter in model.parameters()]

        def perturb(seed, scale):
            torch.manual_seed(seed)
            for tensor in tensors:
                z = torch.normal(mean=0, std=1, size=tensor.shape, dtype=tensor.dtype)
                tensor.add_(z, alpha=scale)

        def step(seed):
            perturb(seed, EPSILON)
            plus = model(**batch).loss.item()
            perturb(seed, -2 * EPSILON)
            minus = model(**batch).loss.item()
            perturb(seed, EPSILON)
            perturb(seed, -1e-6 * (plus - minus) / (2 * EPSILON))

        for threads in map(int, arguments.threads.split(",")):
            torch.set_num_threads(threads)
            seconds = []
            with torch.inference_mode():
                step(0)
                for seed in range(1, arguments.runs + 1):
                    start = time.perf_counter()
                    step(seed)
                    seconds.append(time.perf_counter() - start)
            print(
                f"torch step {name}, {threads} threads: median"
                f" {statistics.median(seconds) * 1e3:.1f} ms, least {min(seconds) * 1e3:.1f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
