# Apache-2.0.
"""Training steps of the models of `fedbench train` in PyTorch: forward, backward, optimiser.

    PYTHON Benchmarks/train.py [--threads 1,4] [--runs 5] [--model WORD] [--scheme NAME] [--compile]
    PYTHON Benchmarks/train.py --fedbench .build/release/fedbench [--rounds 3] [--no-compile] [PART …]

The first form measures PyTorch alone: medians, and the peak memory of the process up to then. The
second puts fedbench beside PyTorch eager and torch.compile, in turns, as tables in Markdown; PART is
steps, epochs or memory. Frozen tensors have requires_grad off, as one does by hand. A second epoch is
a step on batches whose frozen prefix fedbench has kept, against PyTorch's plain step of the same
scheme. Memory is the peak of a process that does one thing. torch 2.13.0+cpu, transformers 5.23.
"""
import argparse
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time

MODELS = ("MiniLM 8x128", "Llama 10M 8x256")
LAST = 6
SCHEMES = {
    "full": lambda name, head: True,
    "blocks:last=2+head": lambda name, head: block(name) >= LAST - 2 or head(name),
    "blocks:last=2": lambda name, head: block(name) >= LAST - 2,
    "bias": lambda name, head: name.endswith(".bias"),
    "bias:last=2": lambda name, head: name.endswith(".bias") and block(name) >= LAST - 2,
    "head": lambda name, head: head(name),
}
# Of the decoder no last layer trains alone: its head is the table of tokens.
EPOCHS = [(MODELS[0], "blocks:last=2+head"), (MODELS[0], "head"), (MODELS[1], "blocks:last=2")]
ARENAS = {MODELS[0]: 60}


def block(name):
    found = re.search(r"\.(\d+)\.", name)
    return int(found[1]) if found else -1


def optimizers(torch):
    return {
        "SGD": lambda tensors: torch.optim.SGD(tensors, lr=1e-6),
        "AdamW": lambda tensors: torch.optim.AdamW(tensors, lr=1e-6),
    }


def torch_steps(arguments):
    import torch

    from step import models

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
                kinds = [arguments.optimizer] if arguments.optimizer else ["SGD", "AdamW"]
                for kind in kinds if scheme == "full" else ["SGD"]:
                    optimizer = optimizers(torch)[kind](chosen)
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


def fedbench(arguments, model, scheme, threads, *more):
    """Rows of `fedbench train`: what was reached, by name."""
    words = [arguments.fedbench, "train", "--model", model, "--scheme", scheme, "--threads",
             str(threads), "--format", "json", *more]
    environment = dict(os.environ, GLIBC_TUNABLES="glibc.malloc.mmap_threshold=65536")
    time.sleep(0.5)
    output = subprocess.run(words, check=True, capture_output=True, text=True,
                            env=environment if "--memory" in more else None).stdout
    rows = [json.loads(line) for line in output.splitlines()]
    return {row["name"].strip(): row for row in rows}


def pytorch(arguments, model, scheme, threads, *more):
    """Median in milliseconds and peak in MiB; nothing where it does not run."""
    words = [sys.executable, __file__, "--model", model, "--scheme", scheme, "--threads",
             str(threads), "--runs", str(arguments.runs), *more]
    time.sleep(0.5)
    done = subprocess.run(words, capture_output=True, text=True)
    found = re.search(r"median ([\d.]+) ms, peak (\d+) MiB", done.stdout)
    if not found:
        print(done.stderr[-400:], file=sys.stderr)
        return None
    return float(found[1]), float(found[2])


def ratio(pairs):
    ratios = [other / mine for mine, other in pairs]
    return f"{statistics.median(ratios):.3g} | {min(ratios):.3g} to {max(ratios):.3g}"


def middle(values):
    return f"{statistics.median(values):.4g}" if values else ""


def compare(arguments, rows, more):
    """One table: (model, scheme, optimiser) rows, fedbench with `more` words."""
    print("| step | threads | Samara, ms | PyTorch, ms | times as fast | range "
          "| torch.compile, ms | times as fast | range |")
    print("|---|---|---|---|---|---|---|---|---|")
    for model, scheme, optimizer in rows:
        for threads in map(int, arguments.threads.split(",")):
            eager, compiled = [], []
            for _ in range(arguments.rounds):
                made = fedbench(arguments, model, scheme, threads, "--optimizer",
                                optimizer.lower(), *more)
                # Each step beside the others: the last that names the scheme is its own row.
                mine = [row["achieved"] for name, row in made.items()
                        if name.startswith("train") and f", {scheme}" in name][-1]
                other = pytorch(arguments, model, scheme, threads, "--optimizer", optimizer)
                if other:
                    eager.append((mine, other[0]))
                other = None if arguments.no_compile else pytorch(
                    arguments, model, scheme, threads, "--optimizer", optimizer, "--compile")
                if other:
                    compiled.append((mine, other[0]))
            print(f"| {model}, {scheme}, {optimizer} | {threads} | {middle([p[0] for p in eager])}"
                  f" | {middle([p[1] for p in eager])} | {ratio(eager) if eager else ' | '}"
                  f" | {middle([p[1] for p in compiled])}"
                  f" | {ratio(compiled) if compiled else ' | '} |", flush=True)
    print()


def memory(arguments):
    print("| step | planned growth, MiB | measured growth | whole process | PyTorch's process | share |")
    print("|---|---|---|---|---|---|")
    for model in MODELS:
        arenas = [()] + ([("--arena", str(ARENAS[model]))] if model in ARENAS else [])
        for scheme, optimizer in (("full", "SGD"), ("full", "AdamW"), ("blocks:last=2+head", "SGD"),
                                  ("bias:last=2", "SGD")):
            if "Llama" in model and scheme != "full":
                continue
            other = pytorch(arguments, model, scheme, 1, "--optimizer", optimizer)
            for arena in arenas if scheme == "full" else [()]:
                made = fedbench(arguments, model, scheme, 1, "--memory", "--optimizer",
                                optimizer.lower(), *arena)
                row = next(row for name, row in made.items() if name.startswith("train"))
                process = made["whole process"]["achieved"]
                within = f", arena of {arena[1]} MiB" if arena else ""
                print(f"| {model}, {scheme}, {optimizer}{within} | {row['floor']:.1f}"
                      f" | {row['achieved']:.1f} | {process:.1f} | {other[1] if other else 0:.0f}"
                      f" | {process / other[1] if other else 0:.3f} |", flush=True)
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--threads", default="1,4")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="")
    parser.add_argument("--scheme", choices=SCHEMES)
    parser.add_argument("--optimizer", choices=("SGD", "AdamW"))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--fedbench", type=pathlib.Path)
    arguments = parser.parse_args()
    if not arguments.fedbench:
        torch_steps(arguments)
        return
    parts = arguments.parts or ["steps", "epochs", "memory"]
    if "steps" in parts:
        compare(arguments, [(model, "full", kind) for model in MODELS for kind in ("SGD", "AdamW")], ())
    if "epochs" in parts:
        compare(arguments, [(*epoch, "SGD") for epoch in EPOCHS], ("--hoisted",))
    if "memory" in parts:
        memory(arguments)


if __name__ == "__main__":
    main()
