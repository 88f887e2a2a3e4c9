# Apache-2.0.
"""Fine-tuning by `fedclient train` and by PyTorch: the same batches, optimiser and schedule.

    python Benchmarks/finetune.py decoder --model Models/small-decoder \\
        --data Examples/novels/novels.jsonl --held-out Examples/novels/held-out.jsonl
    python Benchmarks/finetune.py classifier --model MINILM --data TRAIN.jsonl --held-out HELD.jsonl

For each seed `fedclient train --log-batches` trains every tensor and writes what it trained on; PyTorch
then trains the same stored weights on those batches, in that order, with the same AdamW and the same
step sizes, without dropout. Both results are measured by `fedclient eval`. One thread each. torch
2.13.0+cpu, transformers 5.23.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch
import transformers

transformers.utils.logging.disable_progress_bar()
TASKS = {
    "decoder": dict(lr=1e-3, warmup=20, epochs=1, batch=8, length=128),
    "classifier": dict(lr=1e-4, warmup=20, epochs=1, batch=16, length=32),
}


def fedclient(options, *words):
    return subprocess.run(
        [options.fedclient, *map(str, words)], check=True, capture_output=True, text=True)


def train_ours(options, seed, out):
    task = TASKS[options.task]
    words = ["train", "--model", options.model, "--data", options.data, "--out", out, "--seed", seed,
             "--lr", task["lr"], "--warmup", task["warmup"], "--schedule", "linear",
             "--epochs", task["epochs"], "--batch-size", task["batch"], "--max-length", task["length"],
             "--threads", 1, "--log-batches", f"{out}.jsonl"]
    if options.limit:
        words += ["--limit", options.limit]
    if options.task == "classifier":
        words += ["--labels", "auto"]
    start = time.monotonic()
    fedclient(options, *words)
    return time.monotonic() - start


def opened(options):
    config = transformers.AutoConfig.from_pretrained(options.model)
    if options.task == "decoder":
        kind = transformers.AutoModelForCausalLM
    else:
        kind = transformers.AutoModelForSequenceClassification
    # No dropout, as in fedclient.
    return kind.from_pretrained(options.model, config=config, dtype=torch.float32).eval()


def tensors(batch):
    width = max(map(len, batch["input_ids"]))
    pad = lambda rows, fill: torch.tensor([row + [fill] * (width - len(row)) for row in rows])
    mask = pad([[1] * len(row) for row in batch["input_ids"]], 0)
    labels = batch["labels"]
    labels = pad(labels, -100) if isinstance(labels[0], list) else torch.tensor(labels)
    return dict(input_ids=pad(batch["input_ids"], 0), attention_mask=mask, labels=labels)


def rate(step, steps, task):
    if step <= task["warmup"]:
        return task["lr"] * step / task["warmup"]
    return task["lr"] * max(0, 1 - (step - 1 - task["warmup"]) / max(1, steps - task["warmup"]))


def train_torch(options, out):
    task = TASKS[options.task]
    batches = [json.loads(line) for line in open(f"{out}.jsonl")]
    model = opened(options)
    start = time.monotonic()
    optimizer = torch.optim.AdamW(model.parameters(), lr=task["lr"], weight_decay=0.01)
    for step, batch in enumerate(batches, 1):
        optimizer.param_groups[0]["lr"] = rate(step, len(batches), task)
        optimizer.zero_grad()
        model(**tensors(batch)).loss.backward()
        optimizer.step()
    seconds = time.monotonic() - start
    model.save_pretrained(f"{out}-torch")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        pathlib.Path(f"{out}-torch/{name}").write_bytes(pathlib.Path(f"{out}/{name}").read_bytes())
    if options.task == "classifier":  # the labels that fedclient found in the data
        config = json.loads(pathlib.Path(f"{out}-torch/config.json").read_text())
        ours = json.loads(pathlib.Path(f"{out}/config.json").read_text())
        config.update({key: ours[key] for key in ("id2label", "label2id")})
        pathlib.Path(f"{out}-torch/config.json").write_text(json.dumps(config))
    return seconds, len(batches)


def measured(options, folder):
    words = ["eval", "--model", folder, "--data", options.held_out, "--max-length",
             TASKS[options.task]["length"], "--threads", 1, "--format", "json"]
    result = json.loads(fedclient(options, *words).stdout)
    return result["loss"], result.get("accuracy")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    for name in ("--model", "--data", "--held-out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--fedclient", default=".build/release/fedclient")
    options = parser.parse_args()
    torch.set_num_threads(1)
    before = measured(options, options.model) if options.task == "decoder" else None
    if before:
        print(f"before: loss {before[0]:.4f}")
    columns = {"fedclient": [], "PyTorch": []}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/out"
            ours = train_ours(options, seed, out)
            theirs, steps = train_torch(options, out)
            for name, path, seconds in (("fedclient", out, ours), ("PyTorch", f"{out}-torch", theirs)):
                loss, accuracy = measured(options, path)
                columns[name].append((loss, accuracy))
                right = f", accuracy {accuracy:.4f}" if accuracy is not None else ""
                print(f"seed {seed}, {steps} steps, {name}: loss {loss:.5f}{right}, {seconds:.0f} s",
                      flush=True)
    for name, rows in columns.items():
        losses = [loss for loss, _ in rows]
        spread = statistics.stdev if len(rows) > 1 else lambda _: 0.0
        line = f"{name}: loss {statistics.mean(losses):.4f} ± {spread(losses):.4f}"
        if rows[0][1] is not None:
            shares = [share for _, share in rows]
            line += f", accuracy {statistics.mean(shares):.4f} ± {spread(shares):.4f}"
        print(line)
    apart = [abs(a[0] - b[0]) for a, b in zip(*columns.values())]
    print(f"greatest difference of one seed's losses: {max(apart):.5f}")


if __name__ == "__main__":
    main()
