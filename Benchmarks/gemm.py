# Apache-2.0.
"""Linear layers: `fedbench gemm` against OpenBLAS, shape by shape in processes of their own.

    python Benchmarks/gemm.py --fedbench .build/release/fedbench [--threads 1,4] [--rounds 5]

The two take turns with a pause between them, because OpenBLAS's threads spin after a call. The
ratio is the median over the rounds. OpenBLAS 0.3.21 does not know the newest processors and falls
back to SSE there, so a core type is chosen for it: the best of COOPERLAKE, SKYLAKEX, HASWELL.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

SHAPES = [(n, n, n) for n in (512, 1024, 2048)]
SHAPES += [(m, n, n) for m in (1, 8, 32) for n in (1024, 2048, 4096)]


def openblas(program, shape, threads, core):
    environment = dict(os.environ, OPENBLAS_NUM_THREADS=str(threads), OPENBLAS_CORETYPE=core)
    words = [program, *map(str, shape)]
    time.sleep(0.2)
    return float(subprocess.run(words, env=environment, check=True, capture_output=True).stdout)


def fedbench(program, shape, threads):
    words = [program, "gemm", "--threads", str(threads), "--format", "json"]
    words += ["--shape", ",".join(map(str, shape))]
    time.sleep(0.2)
    output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in output.splitlines()]
    return next(row for row in rows if row["name"].startswith("linear"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fedbench", required=True)
    parser.add_argument("--threads", default="1,4")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    source = pathlib.Path(__file__).with_name("gemm_openblas.c")
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/gemm_openblas"
        subprocess.run(["cc", "-O2", source, "-lopenblas", "-o", program], check=True)
        cores = ("COOPERLAKE", "SKYLAKEX", "HASWELL")
        core = max(cores, key=lambda name: openblas(program, (1024, 1024, 1024), 1, name))
        print(f"OpenBLAS as {core}")
        for threads in map(int, arguments.threads.split(",")):
            for shape in SHAPES:
                theirs, ours, ratios, floors = [], [], [], []
                for _ in range(arguments.rounds):
                    row = fedbench(arguments.fedbench, shape, threads)
                    other = openblas(program, shape, threads, core)
                    ours.append(row["achieved"])
                    floors.append(row["ratio"])
                    theirs.append(other)
                    ratios.append(row["achieved"] / other)
                print(
                    f"{threads} threads, {'x'.join(map(str, shape)):14}"
                    f" fedbench {statistics.median(ours):6.1f} GFLOP/s"
                    f" ({statistics.median(floors):.2f} of the peak),"
                    f" OpenBLAS {statistics.median(theirs):6.1f},"
                    f" ratio {statistics.median(ratios):.2f}"
                    f" ({min(ratios):.2f} to {max(ratios):.2f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
