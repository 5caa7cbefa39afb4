"""Training steps per second beside PyTorch on a CPU: the same T5, weights and losses.

    pip install torch transformers
    python benchmarks/train_step.py                 # equal padded shapes
    python benchmarks/train_step.py --data FOLDER   # also with the lengths of real histories
    python benchmarks/train_step.py --compile       # also torch.compile; needs a C++ compiler

Both run in turns, in one process on the same cores. The network has TIGER's size (width 128, 4 + 4
layers, 6 heads of 64, MLP 1,024; 4.85 M parameters); transformers initialises it and the script
converts it. A batch has 32 sources of 81 tokens (a user token and 20 items of 4 codes) and targets
of 4 tokens. A step is forward, backward, clipping to norm 1 and AdamW.

Before timing, both losses on one batch without dropout must agree to 1e-4, and to 1e-3 after one
step of gradient descent, so gradients agree too (except for embeddings, which transformers shares
and we do not).

With `--data`, examples per second are measured over an epoch's batches in their order: PyTorch pads
to 81 like TIGER's repositories, ours uses the length classes of zoo.data.batches, reading included.
The script also prints the share of that time spent waiting for data.

A step needs about 6 N T operations for N matrix parameters applied to T tokens: 2.9 M by 32 x 81 in
the encoder, 2.0 M (0.8 M of them for keys and values of the source) by 32 x 4 and 32 x 81 in the
decoder; XLA counts 51.5 GFLOP including attention.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time

import decode_transformers
import jax
import jax.numpy as jnp
import numpy as np
import optax

from zoo.data import batches, load
from zoo.models import encoder_decoder, item_tokens
from zoo.nets import network
from zoo.train import optimizers, step

BATCH, LENGTH, CODES, ALPHABET = 32, 81, 4, 1025
RATE = 1e-3


class Theirs:
    """T5 of transformers and its training step."""

    def __init__(self, dropout: float, compiled: bool) -> None:
        import torch

        self._torch = torch
        self.net = decode_transformers.peer(ALPHABET)
        for module in self.net.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
            if hasattr(module, "dropout") and isinstance(module.dropout, float):
                module.dropout = dropout  # dropout on attention weights
        self.net.train()
        self._run = torch.compile(self.net) if compiled else self.net
        self._optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0
        )

    def loss(self, batch: dict):
        source, target = (
            self._torch.from_numpy(batch[name].astype(np.int64)) for name in ("source", "target")
        )
        # their loss is a mean over tokens
        return (
            CODES
            * self._run(input_ids=source, attention_mask=(source != 0).long(), labels=target).loss
        )

    def descend(self, batch: dict, rate: float) -> None:
        self.loss(batch).backward()
        with self._torch.no_grad():
            for parameter in self.net.parameters():
                parameter -= rate * parameter.grad
                parameter.grad = None

    def step(self, batch: dict) -> None:
        self._optimizer.zero_grad()
        loss = self.loss(batch)
        loss.backward()
        self._torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self._optimizer.step()
        loss.item()


class Ours:
    """Our network with the same weights, and the training loop's step."""

    def __init__(self, net, dropout: float) -> None:
        shape, params = decode_transformers.converted(net, CODES)
        self.still = encoder_decoder.likelihood(
            network.build(shape), smoothing=0.0, word_dropout=0.0
        )
        self.loss = encoder_decoder.likelihood(
            network.build(dataclasses.replace(shape, dropout=dropout)),
            smoothing=0.0,
            word_dropout=0.0,
        )
        rate = optimizers.schedule(RATE, warmup=0, decay="constant")
        optimizer = optimizers.adamw(rate, weight_decay=0.0, clip=1.0)
        self.params = params
        self._progress = step.begin(jax.tree.map(jnp.copy, params), optimizer)
        self._step = step.step_function(self.loss, optimizer, jax.random.key(0))

    def step(self, batch: dict) -> None:
        self._progress, metrics = self._step(self._progress, batch, np.float32(0.5))
        self._last = metrics["loss"]

    def wait(self) -> None:
        jax.block_until_ready(self._last)


def agree() -> None:
    """Raises if the losses before or after a step of gradient descent without dropout differ."""
    theirs = Theirs(0.0, compiled=False)
    ours = Ours(theirs.net, 0.0)
    batch = drawn(0)
    value = jax.jit(lambda params: ours.still(params, batch, jax.random.key(0))[0])
    before = float(theirs.loss(batch).detach()), float(value(ours.params))
    np.testing.assert_allclose(*before, rtol=1e-4)
    # transformers shares one table, so its gradient is the sum
    tables = ("source_embedding", "target_embedding")
    gradient = jax.grad(lambda params: ours.still(params, batch, jax.random.key(0))[0])(
        ours.params
    )["params"]
    both = sum(gradient[name]["embedding"] for name in tables)
    gradient = gradient | {name: {"embedding": both} for name in tables}
    theirs.descend(batch, 0.01)
    after = (
        float(theirs.loss(batch).detach()),
        float(
            value(
                optax.apply_updates(
                    ours.params, {"params": jax.tree.map(lambda g: -0.01 * g, gradient)}
                )
            )
        ),
    )
    np.testing.assert_allclose(*after, rtol=1e-3)
    print(
        f"equal losses: {before[0]:.5f} and {before[1]:.5f}; after a step of descent "
        f"{after[0]:.5f} and {after[1]:.5f}",
        flush=True,
    )
    assert abs(before[0] - after[0]) > 0.01


def drawn(seed: int) -> dict[str, np.ndarray]:
    """A random batch of full length."""
    draw = np.random.default_rng(seed)
    return {
        "source": draw.integers(1, ALPHABET, (BATCH, LENGTH)).astype(np.int32),
        "target": draw.integers(1, ALPHABET, (BATCH, CODES)).astype(np.int32),
    }


def histories(name: str) -> batches.Batches:
    """Batches of prefixes of real histories.

    A user token, then 4 random codes per item, at most 20 items.
    """
    data = load.load(name)
    before, following, users = item_tokens.prefixes(
        data.without("test").without("dev").histories, 20
    )
    codes = (
        np.random.default_rng(0).integers(1, ALPHABET, (len(data.corpus), CODES)).astype(np.int32)
    )
    rows = np.where((before >= 0)[..., None], codes[np.maximum(before, 0)], 0).reshape(
        len(before), -1
    )
    rows = np.take_along_axis(rows, np.argsort(rows == 0, axis=1, kind="stable"), axis=1)
    rows = np.concatenate([1 + users[:, None] % (ALPHABET - 1), rows], axis=1).astype(np.int32)
    return batches.Batches(
        [batches.Source({"source": rows, "target": codes[following]}, 1.0)],
        batch_size=BATCH,
        seed=0,
    )


def rounds(calls: dict, count: int) -> dict[str, float]:
    """Median seconds of each call, in turns; the first call compiles and does not count."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(count + 1):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            if turn:
                taken[name].append(time.perf_counter() - begin)
    return {name: float(np.median(seconds)) for name, seconds in taken.items()}


def padded(options: argparse.Namespace) -> None:
    """Times steps at equal padded shapes."""
    batch = drawn(1)
    for dropout in (0.0, 0.1):
        peers = {"eager": Theirs(dropout, compiled=False)}
        if options.compile:
            peers["compiled"] = Theirs(dropout, compiled=True)
        ours = Ours(peers["eager"].net, dropout)
        calls = {name: lambda peer=peer: peer.step(batch) for name, peer in peers.items()}
        seconds = rounds(calls | {"ours": lambda: (ours.step(batch), ours.wait())}, options.rounds)
        shown = ", ".join(
            f"PyTorch {name} {seconds[name]:.3f} s ({seconds[name] / seconds['ours']:.2f} x ours)"
            for name in peers
        )
        print(
            f"dropout {dropout}: {shown}, ours {seconds['ours']:.3f} s a step of {BATCH} x "
            f"{LENGTH}",
            flush=True,
        )


def lengths(options: argparse.Namespace) -> None:
    """Times batches of real histories in their order."""
    stream, theirs = histories(options.data), Theirs(0.1, compiled=False)
    ours = Ours(theirs.net, 0.1)
    filled = float((stream.rows["source"] != 0).mean())
    firsts = {batch["source"].shape: batch for batch in map(stream.batch, range(200))}
    for batch in firsts.values():  # compile each length class
        ours.step(batch)
        ours.wait()
    pick = lambda number: np.random.default_rng(number).choice(len(stream.rows["source"]), BATCH)
    wide = lambda number: {name: values[pick(number)] for name, values in stream.rows.items()}
    theirs.step(wide(0))
    spent = {"theirs": 0.0, "ours": 0.0, "waited": 0.0}
    for turn in range(options.rounds):
        begin = time.perf_counter()
        theirs.step(wide(turn))
        spent["theirs"] += time.perf_counter() - begin
        begin = time.perf_counter()
        for _ in range(3):
            asked = time.perf_counter()
            batch = next(stream)
            spent["waited"] += time.perf_counter() - asked
            ours.step(batch)
        ours.wait()
        spent["ours"] += time.perf_counter() - begin
    rate = {
        "theirs": BATCH * options.rounds / spent["theirs"],
        "ours": 3 * BATCH * options.rounds / spent["ours"],
    }
    print(
        f"real histories (fill {filled:.0%} of {LENGTH}; length classes {stream.lengths}): "
        f"PyTorch eager, padded, {rate['theirs']:.1f} examples/s, "
        f"ours {rate['ours']:.1f} ({rate['ours'] / rate['theirs']:.2f} x), of which "
        f"{spent['waited'] / spent['ours']:.2%} waiting for data"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="FOLDER", help="interactions to train on")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    print(
        f"{cores} cores, torch {torch.__version__}, transformers {transformers.__version__}, jax "
        f"{jax.__version__}; load {os.getloadavg()[0]:.1f} before we start"
    )
    agree()
    padded(options)
    if options.data:
        lengths(options)


if __name__ == "__main__":
    main()
