# Apache-2.0.
"""Hadamard against independent directions on real models: the same run file, budget and seeds.

    python3 Benchmarks/families.py --fedsim .build/release/fedsim [--seeds 1,2,3] [--case NAME]

Prints a table in Markdown: the held-out loss (and accuracy) after the last round for each seed, and the
mean. Examples/debian-sections/run must have fetched its model and data for the last case. Only the
standard library is needed.
"""
import argparse
import json
import pathlib
import statistics
import subprocess

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "Examples"
CASES = {
    "novels, gains of the norms": ("novels/run.json5", ["rounds=40"]),
    "novels, all 1.35 M parameters": (
        "novels/run.json5",
        ['trainable=["*"]', "algorithm.learning_rate=1e-4", "algorithm.clip=1000", "rounds=20"],
    ),
    "debian-sections, head of MiniLM": ("debian-sections/run.json5", ["rounds=50"]),
}


def run(fedsim, case, family, seed):
    file, changes = CASES[case]
    words = [fedsim, "run", EXAMPLES / file, "--seed", str(seed), "--format", "json"]
    for change in changes + [f'algorithm.family="{family}"', "evaluation.every=1000"]:
        words += ["--set", change]
    output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in output.splitlines()]
    last = rows[-1]
    before = next(row["loss_before"] for row in rows if row.get("loss_before") is not None)
    return before, last["loss"], last["accuracy"]


def shown(values, digits):
    mean = statistics.mean(values)
    each = ", ".join(f"{value:.{digits}f}" for value in values)
    return f"**{mean:.{digits}f}** ({each})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fedsim", required=True)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--case", action="append", choices=sorted(CASES))
    arguments = parser.parse_args()
    seeds = [int(word) for word in arguments.seeds.split(",")]
    print(f"| task | loss before | family | held-out loss, seeds {arguments.seeds} | accuracy |")
    print("|---|---|---|---|---|")
    for case in arguments.case or CASES:
        for family in ("hadamard", "independent"):
            results = [run(arguments.fedsim, case, family, seed) for seed in seeds]
            befores, losses, accuracies = zip(*results)
            accuracy = "" if accuracies[0] is None else shown(accuracies, 3)
            before = f"{statistics.mean(befores):.3f}"
            print(f"| {case} | {before} | {family} | {shown(losses, 3)} | {accuracy} |", flush=True)


if __name__ == "__main__":
    main()
