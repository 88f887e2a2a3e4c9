# Apache-2.0.
"""Forward passes of the two models that `fedbench forward` measures, in PyTorch eager.

    python Benchmarks/forward.py [--threads 1,4] [--runs 9]

Random weights, full batches, inference mode, float32, attention by PyTorch's fused kernel.
torch 2.13.0+cpu, transformers 5.23.
"""
import argparse
import statistics
import time

import torch
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM


def models():
    bert = BertConfig(
        hidden_size=384, intermediate_size=1536, num_hidden_layers=6,
        num_attention_heads=12, vocab_size=30522, max_position_embeddings=512,
    )
    llama = LlamaConfig(
        hidden_size=320, intermediate_size=896, num_hidden_layers=6,
        num_attention_heads=10, num_key_value_heads=5, vocab_size=8192,
        max_position_embeddings=512, tie_word_embeddings=True,
    )
    yield "MiniLM 8x128", BertModel(bert, add_pooling_layer=False), 8, 128
    yield "Llama 10M 8x256", LlamaForCausalLM(llama), 8, 256


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", default="1,4")
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    for name, model, rows, positions in models():
        model.eval()
        ids = torch.arange(rows * positions).reshape(rows, positions) * 7919
        ids = ids % model.config.vocab_size
        for threads in map(int, arguments.threads.split(",")):
            torch.set_num_threads(threads)
            seconds = []
            with torch.inference_mode():
                model(input_ids=ids, use_cache=False) if "Llama" in name else model(input_ids=ids)
                for _ in range(arguments.runs):
                    start = time.perf_counter()
                    if "Llama" in name:
                        model(input_ids=ids, use_cache=False)
                    else:
                        model(input_ids=ids)
                    seconds.append(time.perf_counter() - start)
            print(
                f"torch {name}, {threads} threads: median {statistics.median(seconds) * 1e3:.1f} ms,"
                f" least {min(seconds) * 1e3:.1f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
