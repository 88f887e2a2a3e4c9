# Apache-2.0.
"""FedAvg by `fedsim` and by PyTorch: the same clients, batches, local steps and weights.

    python Benchmarks/fedavg.py --model MINILM --clients CLIENTS.jsonl --held-out HELD.jsonl

Each row of CLIENTS.jsonl is {"client": name, "label": class, "text": text}. Every tensor trains, by SGD with
momentum that begins anew with each round, without dropout. PyTorch draws the batches as fedsim does
(Philox, docs/directions.md), averages weights by examples, and is measured on the same held-out rows
after every round. One thread each. torch 2.13.0+cpu, transformers 5.23.
"""
import argparse
import hashlib
import json
import pathlib
import statistics
import struct
import subprocess
import tempfile

import torch
import transformers

transformers.utils.logging.disable_progress_bar()
BATCH_PURPOSE = 18


class Stream:
    """`RandomStream`: Philox4x32-10 with the counter (block, client, step, purpose << 24 | round)."""

    def __init__(self, key, purpose, round=0, client=0, step=0):
        self.key, self.counter, self.words = key, [0, client, step, purpose << 24 | round], []

    def next(self):
        if not self.words:
            x, k0, k1 = list(self.counter), self.key & 0xFFFFFFFF, self.key >> 32
            for _ in range(10):
                p, q = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
                x = [q >> 32 ^ x[1] ^ k0, q & 0xFFFFFFFF, p >> 32 ^ x[3] ^ k1, p & 0xFFFFFFFF]
                k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
            self.words = x
            self.counter[0] += 1
        return self.words.pop(0)

    def below(self, bound):
        threshold = (1 << 32) % bound
        while True:
            product = self.next() * bound
            if product & 0xFFFFFFFF >= threshold:
                return product >> 32

    def permutation(self, count):
        order = list(range(count))
        for last in range(count - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order


def run_key(seed):
    name = b"samara run key"
    digest = hashlib.sha256(bytes([len(name)]) + name + struct.pack("<Q", seed)).digest()
    return int.from_bytes(digest[:8], "little")


def batches(key, round, client, count, options):
    orders = {}
    for step in range(options.steps):
        places = range(step * options.batch, (step + 1) * options.batch)
        for place in places:
            if place // count not in orders:
                stream = Stream(key, BATCH_PURPOSE, round, client, place // count)
                orders[place // count] = stream.permutation(count)
        yield [orders[place // count][place % count] for place in places]


def run_file(options, labels, seed, **changes):
    algorithm = dict(name="fedavg", optimizer="momentum", momentum=options.momentum,
                     learning_rate=options.rate, steps=options.steps)
    run = dict(
        name="fedavg", model=str(options.model.resolve()),
        task=dict(kind="classification", labels=labels),
        algorithm=algorithm | changes.pop("algorithm", {}),
        data=dict(max_length=options.length, batch_size=options.batch),
        rounds=options.rounds, schedule=dict(clients=options.count),
        evaluation=dict(data=str(options.held_out.resolve()), every=1, limit=options.limit),
        seed=seed, head_seed=seed,
        simulation=dict(clients=options.count, data=str(options.clients.resolve()), workers=1,
                        partition=dict(kind="field", field="client")))
    return run | changes


def fedsim(options, run, folder, *words):
    path = pathlib.Path(folder) / "run.json5"
    path.write_text(json.dumps(run))
    command = [options.fedsim, "run", str(path), "--format", "json", *words]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return [(line["loss"], line["accuracy"]) for line in lines if "training_loss" in line]


def tensors(tokenizer, rows, labels, length):
    batch = tokenizer([row["text"] for row in rows], truncation=True, max_length=length,
                      padding=True, return_tensors="pt")
    return dict(batch, labels=torch.tensor([labels.index(row["label"]) for row in rows]))


def evaluate(model, tokenizer, held, labels, options):
    loss = right = 0
    with torch.no_grad():
        for start in range(0, len(held), options.batch):
            batch = tensors(tokenizer, held[start:start + options.batch], labels, options.length)
            found = model(**batch)
            loss += found.loss.item() * len(batch["labels"])
            right += (found.logits.argmax(-1) == batch["labels"]).sum().item()
    return loss / len(held), right / len(held)


def by_torch(options, folder, parts, held, labels, seed):
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    # No dropout, as in fedsim.
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32).eval()
    key, scores = run_key(seed), []
    total = sum(map(len, parts))
    for round in range(options.rounds):
        start = {name: value.clone() for name, value in model.state_dict().items()}
        mean = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in start.items()}
        for client, rows in enumerate(parts):
            model.load_state_dict(start)
            optimizer = torch.optim.SGD(
                model.parameters(), lr=options.rate, momentum=options.momentum)
            for places in batches(key, round, client, len(rows), options):
                optimizer.zero_grad()
                batch = [rows[place] for place in places]
                model(**tensors(tokenizer, batch, labels, options.length)).loss.backward()
                optimizer.step()
            for name, value in model.state_dict().items():
                mean[name] += value.double() * len(rows) / total
        model.load_state_dict({name: value.to(start[name].dtype) for name, value in mean.items()})
        scores.append(evaluate(model, tokenizer, held, labels, options))
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--model", "--clients", "--held-out"):
        parser.add_argument(name, type=pathlib.Path, required=True)
    for name, standard in (("--rounds", 4), ("--steps", 5), ("--batch", 8), ("--length", 32),
                           ("--limit", 200), ("--seeds", 3)):
        parser.add_argument(name, type=int, default=standard)
    for name, standard in (("--rate", 0.05), ("--momentum", 0.9)):
        parser.add_argument(name, type=float, default=standard)
    parser.add_argument("--fedsim", default=".build/release/fedsim")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [json.loads(line) for line in options.clients.open()]
    held = [json.loads(line) for line in options.held_out.open()][:options.limit]
    labels = sorted({row["label"] for row in rows + held})
    names = list(dict.fromkeys(row["client"] for row in rows))
    assert names == sorted(names), "clients in the order of their names"
    parts = [[row for row in rows if row["client"] == name] for name in names]
    options.count = len(parts)
    columns = {"fedsim": [], "PyTorch": []}
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            # A rate that moves nothing: the model with its new head, for both to begin with.
            still = run_file(options, labels, seed, rounds=1,
                             algorithm=dict(learning_rate=1e-9, steps=1, optimizer="sgd"))
            fedsim(options, still, folder, "--export", f"{folder}/base")
            ours = fedsim(options, run_file(options, labels, seed), folder)
            theirs = by_torch(options, f"{folder}/base", parts, held, labels, seed)
        columns["fedsim"].append(ours[-1])
        columns["PyTorch"].append(theirs[-1])
        for round, (a, b) in enumerate(zip(ours, theirs), 1):
            print(f"seed {seed}, round {round}: fedsim loss {a[0]:.5f} accuracy {a[1]:.4f}, "
                  f"PyTorch loss {b[0]:.5f} accuracy {b[1]:.4f}", flush=True)
    for name, scores in columns.items():
        losses, shares = zip(*scores)
        line = f"{name}: loss {statistics.mean(losses):.4f}, accuracy {statistics.mean(shares):.4f}"
        if len(scores) > 1:
            line += f" ± {statistics.stdev(shares):.4f} over {len(scores)} seeds"
        print(line)
    apart = max(abs(a[0] - b[0]) for a, b in zip(*columns.values()))
    print(f"greatest difference of one seed's last losses: {apart:.5f}")


if __name__ == "__main__":
    main()
