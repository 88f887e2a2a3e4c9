# Apache-2.0.
"""Trainings a second of simulated federations: Samara, Flower and pfl-research on the same task.

    python3 -m venv /opt/flower && /opt/flower/bin/pip install "flwr[simulation]==1.41.0" numpy
    python3 -m venv /opt/pfl && /opt/pfl/bin/pip install pfl==0.6.0 torch numpy
    python3 Benchmarks/simulation.py --fedbench .build/release/fedbench \
        [--flower /opt/flower/bin/python] [--pfl /opt/pfl/bin/python] [--clients 1000] [--rounds 3]

Each client of a round takes 10 SGD steps on its own 16 images of 8 x 8 digits (MLP 64-32-10, FedAvg).
Flower and pfl-research get random images of the same shape: only time is measured. Their trainings a
second are taken over the rounds after the first, without the start of their processes, which favours
them; Samara's over the whole run. The local training of Flower is plain numpy, of pfl torch.
"""
import argparse
import os
import re
import subprocess
import sys
import time

STEPS, IMAGES = 10, 16


def numpy_task(seed, weights):
    import numpy as np

    stream = np.random.default_rng(seed)
    x = stream.random((IMAGES, 64), dtype=np.float32)
    y = stream.integers(0, 10, IMAGES)
    w1, b1, w2, b2 = [w.copy() for w in weights]
    for _ in range(STEPS):
        h = np.maximum(x @ w1 + b1, 0)
        z = h @ w2 + b2
        z -= z.max(1, keepdims=True)
        p = np.exp(z)
        p /= p.sum(1, keepdims=True)
        p[np.arange(IMAGES), y] -= 1
        p /= IMAGES
        g = (p @ w2.T) * (h > 0)
        w2 -= 0.1 * (h.T @ p)
        b2 -= 0.1 * p.sum(0)
        w1 -= 0.1 * (x.T @ g)
        b1 -= 0.1 * g.sum(0)
    return [w1, b1, w2, b2]


def start():
    import numpy as np

    stream = np.random.default_rng(0)
    return [
        stream.normal(0, 0.1, (64, 32)).astype(np.float32), np.zeros(32, np.float32),
        stream.normal(0, 0.1, (32, 10)).astype(np.float32), np.zeros(10, np.float32),
    ]


def flower(clients, rounds):
    import flwr
    from flwr.client import ClientApp, NumPyClient
    from flwr.common import ndarrays_to_parameters
    from flwr.server import ServerApp, ServerAppComponents, ServerConfig
    from flwr.server.strategy import FedAvg
    from flwr.simulation import run_simulation

    class Client(NumPyClient):
        def __init__(self, number):
            self.number = number

        def fit(self, parameters, config):
            return numpy_task(self.number, parameters), IMAGES, {}

    def client_fn(context):
        return Client(int(context.node_config["partition-id"])).to_client()

    class Timed(FedAvg):
        times = []

        def aggregate_fit(self, *words):
            done = super().aggregate_fit(*words)
            self.times.append(time.monotonic())
            return done

    def server_fn(context):
        strategy = Timed(
            fraction_fit=1.0, fraction_evaluate=0.0, min_fit_clients=clients,
            min_available_clients=clients, initial_parameters=ndarrays_to_parameters(start()),
        )
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=rounds))

    began = time.monotonic()
    run_simulation(
        server_app=ServerApp(server_fn=server_fn), client_app=ClientApp(client_fn=client_fn),
        num_supernodes=clients,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
    times = Timed.times
    print(f"version {flwr.__version__}, whole {time.monotonic() - began:.2f} s")
    print(f"RATE {clients * (len(times) - 1) / (times[-1] - times[0]):.1f}")


def pfl(clients, rounds):
    import numpy as np
    import torch
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.algorithm.federated_averaging import FederatedAveraging
    from pfl.algorithm.base import NNAlgorithmParams
    from pfl.callback.base import TrainingProcessCallback
    from pfl.data.dataset import Dataset
    from pfl.data.federated_dataset import ArtificialFederatedDataset
    from pfl.hyperparam.base import NNTrainHyperParams
    from pfl.metrics import Weighted
    from pfl.model.pytorch import PyTorchModel

    torch.set_num_threads(1)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.nn.Sequential(
                torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))

        def forward(self, x):
            return self.body(x)

        def loss(self, x, y, is_eval=False):
            return torch.nn.functional.cross_entropy(self(torch.as_tensor(x)), torch.as_tensor(y))

        @torch.no_grad()
        def metrics(self, x, y, is_eval=True):
            return {"loss": Weighted(float(self.loss(x, y)) * len(y), len(y))}

    def make(indices):
        stream = np.random.default_rng(int(indices[0]))
        return Dataset([torch.from_numpy(stream.random((IMAGES, 64), dtype=np.float32)),
                        torch.from_numpy(stream.integers(0, 10, IMAGES))])

    numbers = iter(range(10**9))
    net = Net()
    model = PyTorchModel(net, torch.optim.SGD, torch.optim.SGD(net.parameters(), lr=1.0))
    data = ArtificialFederatedDataset(make, lambda _: [next(numbers) % clients], lambda: IMAGES)
    times = []

    class Timed(TrainingProcessCallback):
        def after_central_iteration(self, metrics, model, *, central_iteration):
            times.append(time.monotonic())
            return False, type(metrics)()

    params = NNAlgorithmParams(
        central_num_iterations=rounds, evaluation_frequency=10**6, train_cohort_size=clients,
        val_cohort_size=0)
    train = NNTrainHyperParams(
        local_num_epochs=STEPS, local_learning_rate=0.1, local_batch_size=IMAGES)
    backend = SimulatedBackend(training_data=data, val_data=data)
    FederatedAveraging().run(
        algorithm_params=params, backend=backend, model=model, model_train_params=train,
        model_eval_params=None, callbacks=[Timed()])
    print(f"RATE {clients * (len(times) - 1) / (times[-1] - times[0]):.1f}")


def ours(fedbench, clients, rounds):
    words = [fedbench, "simulation", "--clients", str(clients), "--rounds", str(rounds)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fedbench", default=".build/release/fedbench")
    parser.add_argument("--flower")
    parser.add_argument("--pfl")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=["flower", "pfl"])
    options = parser.parse_args()
    if options.run:
        return (flower if options.run == "flower" else pfl)(options.clients, options.rounds)
    print(ours(options.fedbench, options.clients, max(20, options.rounds)), end="")
    for name, python in (("flower", options.flower), ("pfl", options.pfl)):
        if not python:
            continue
        words = [python, __file__, "--run", name, "--clients", str(options.clients),
                 "--rounds", str(options.rounds)]
        done = subprocess.run(words, capture_output=True, text=True,
                              env=os.environ | {"RAY_DEDUP_LOGS": "0", "OMP_NUM_THREADS": "1"})
        rate = re.search(r"^RATE (.*)$", done.stdout, re.M)
        if not rate:
            sys.exit(f"{name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        print(f"{name}: {rate[1]} trainings/s after the first round")


if __name__ == "__main__":
    main()
