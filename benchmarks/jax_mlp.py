"""The MLP with batch norm as a JAX program: an epoch is one compiled scan, and several networks train by vmap.

    python benchmarks/jax_mlp.py --data-dir FOLDER    ten networks, ten epochs, on all cores: the seconds of the whole

`pip install jax` first; bnbench does not need it. The numbers are not bnbench's: another order of images, another
start. The work of a step is the same: the tutorial's MLP, batch norm with its moving average, SGD, batches of 64, and a
validation after each epoch.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import idle
import jax
import jax.numpy as jnp
import numpy as np

from bnbench.data import datasets

BATCH, RATE, EPS, MOMENTUM = 64, 0.1, 1e-5, 0.9
Network = dict[str, Any]  # parameters and running statistics, by name


def start(key: Any) -> Network:
    """784-100-10, from PyTorch's default distribution."""
    network: Network = {"gamma": jnp.ones(100), "beta": jnp.zeros(100), "mean": jnp.zeros(100), "var": jnp.ones(100)}
    for name, (inputs, outputs), own in (
        ("hidden", (784, 100), jax.random.fold_in(key, 1)),
        ("classifier", (100, 10), jax.random.fold_in(key, 2)),
    ):
        bound = inputs**-0.5
        network[name] = jax.random.uniform(own, (inputs, outputs), minval=-bound, maxval=bound)
        network[f"{name}_bias"] = jnp.zeros(outputs)
    return network


def logits(network: Network, x: Any, mean: Any, var: Any, hidden: Any) -> Any:
    y = network["gamma"] * (hidden - mean) / jnp.sqrt(var + EPS) + network["beta"]
    return jax.nn.relu(y) @ network["classifier"] + network["classifier_bias"]


def loss(network: Network, x: Any, labels: Any) -> tuple[Any, tuple[Any, Any]]:
    hidden = x @ network["hidden"] + network["hidden_bias"]
    mean, var = hidden.mean(0), hidden.var(0)
    logs = jax.nn.log_softmax(logits(network, x, mean, var, hidden))
    return -logs[jnp.arange(len(labels)), labels].mean(), (mean, var)


def step(network: Network, x: Any, labels: Any) -> tuple[Network, Any]:
    (value, (mean, var)), gradients = jax.value_and_grad(loss, has_aux=True)(network, x, labels)
    new = {name: old - RATE * gradients[name] for name, old in network.items()}
    for name, batch in (("mean", mean), ("var", var)):
        new[name] = (1 - MOMENTUM) * network[name] + MOMENTUM * batch
    return new, value


def epoch(network: Network, key: Any, images: Any, labels: Any) -> tuple[Network, Any]:
    """One pass in a new order; the last batch is smaller."""
    order = jax.random.permutation(key, len(labels))
    whole = len(labels) // BATCH * BATCH

    def one(network: Network, indices: Any) -> tuple[Network, Any]:
        return step(network, images[indices], labels[indices])

    network, losses = jax.lax.scan(one, network, order[:whole].reshape(-1, BATCH))
    if whole < len(labels):
        network, _ = step(network, images[order[whole:]], labels[order[whole:]])
    return network, losses.mean()


def accuracy(network: Network, images: Any, labels: Any) -> Any:
    hidden = images @ network["hidden"] + network["hidden_bias"]
    return (logits(network, images, network["mean"], network["var"], hidden).argmax(1) == labels).mean()


def epochs_of(networks: int, dataset: datasets.Dataset) -> Callable[[], tuple[float, float, float]]:
    """A function that trains one more epoch: (training seconds, validation seconds, mean accuracy) of all networks."""
    images, labels, test_images, test_labels = (
        jnp.asarray(tensor.numpy().reshape(len(tensor), -1).astype(np.float32) / 127.5 - 1)
        if tensor.dim() > 2
        else jnp.asarray(tensor.numpy().astype(np.int32))
        for tensor in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels)
    )
    train = jax.jit(jax.vmap(epoch, in_axes=(0, 0, None, None)))
    valid = jax.jit(jax.vmap(accuracy, in_axes=(0, None, None)))
    keys = jax.random.split(jax.random.key(0), networks)
    state = {"networks": jax.vmap(start)(keys), "epoch": 0}

    def one() -> tuple[float, float, float]:
        begun = time.perf_counter()
        state["epoch"] += 1
        own = jax.vmap(partial(jax.random.fold_in, data=state["epoch"]))(keys)
        state["networks"], _ = jax.block_until_ready(train(state["networks"], own, images, labels))
        trained = time.perf_counter()
        found = float(valid(state["networks"], test_images, test_labels).mean())
        return trained - begun, time.perf_counter() - trained, found

    return one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--data-dir", type=Path, default=None)
    arguments = parser.parse_args()
    idle.watch()
    dataset, _ = datasets.load("mnist", datasets.data_dir(arguments.data_dir))
    one = epochs_of(arguments.networks, dataset)
    begun, found = time.perf_counter(), 0.0
    for _ in range(arguments.epochs):
        *_, found = one()
    print(f"{arguments.networks} networks, {arguments.epochs} epochs: {time.perf_counter() - begun:.1f} s; {found:.4f}")


if __name__ == "__main__":
    main()
