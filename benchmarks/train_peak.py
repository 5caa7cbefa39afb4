"""Training throughput of DSI: tokens per second and share of the device's peak.

    python benchmarks/train_peak.py    # an accelerator: `base`, bfloat16, 256 sources of 64 tokens
    python benchmarks/train_peak.py --mesh data=8
    python benchmarks/train_peak.py --size small --batch 32 --rounds 5     # anywhere

Runs on one device or on all devices of a host. The step is the training loop's: forward, backward,
clipping, AdamW with f32 parameters and moments, donated buffers, random tokens at full length.

Lower bounds for `base` (T5-base's sizes: 12 + 12 layers, width 768, 12 heads of 64, gated MLPs of
2,048) at 256 x 64 source tokens and identifiers of 4 tokens:

- Matrix products. An encoder layer has 4 x 768^2 + 3 x 768 x 2,048 = 7.1 M weights, applied to
  16,384 tokens. A decoder layer applies as many and 2 x 768^2 more to 1,024 tokens, and
  2 x 768^2 = 1.2 M (keys and values of the source) to all 16,384. Forward and backward take 6
  operations per weight and token: 6 x 12 x (7.1 M + 1.2 M) x 16,384 + 6 x 12 x 8.3 M x 1,024 =
  10.4 T. Attention scores and their sums add 12 x 12 x 256 x 64^2 x 768 = .1 T (`zoo.train.speed`
  counts 10.5). At a peak of 989 T per second (H100, H200; bfloat16) this is 10.6 ms.
- Memory. AdamW reads parameters, gradient and two moments and writes three, 28 bytes per weight:
  224 M weights (25 M in the word table) are 6.3 GB. The forward pass writes and reads about 17
  activations of width 768 per token and layer in 2 bytes, and the backward pass does so again:
  12 x 16,384 x 768 x 17 x 8 bytes = 21 GB. At 3.35 TB/s (H100) or 4.8 (H200) both together take
  8.1 or 5.7 ms.

Measured on one H100 (jax 0.11.2, XLA without autotuning of products:
`--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false`): 65.4 ms per step, 16 % of the
peak. The trace shows 20.5 ms of products; 25.3 ms of word-table gradients, added in bfloat16 with
compare-and-swap, which `linear.Embed` has since removed; 4.6 ms of transposes; and 15 ms of norms,
masks, softmax and updates. Without the second part 40 ms would remain, 26 %; this is not measured.

Matrix products dominate. If products and memory traffic do not overlap, at most 56 % (H100) or 65 %
(H200) of the peak is possible; 40 % is 26 ms per step, 620,000 source tokens per second.
"""

from __future__ import annotations

import argparse
import time

import jax
import numpy as np

from zoo import options as groups, recipes, records
from zoo.models import encoder_decoder
from zoo.nets import network, transformer
from zoo.train import execution as executions, optimizers, sharding, speed, step

CODES, ALPHABET = 4, 512  # identifiers of the batch
GROUPS = 6  # groups of steps, each timed together


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="base", choices=recipes.SIZES)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--length", type=int, default=64, help="tokens per source")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--mesh", default="")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="an option of dsi, for example dropout=0",
    )
    parser.add_argument(
        "--trace",
        metavar="DIR",
        help="also write a trace of three steps there, for TensorBoard or Perfetto",
    )
    options = parser.parse_args()
    if wrong := [text for text in options.set if "=" not in text]:
        parser.error(f"--set expects OPTION=VALUE, got {wrong[0]!r}")
    try:
        config = recipes.configure(
            recipes.get("dsi"),
            options.size,
            {"dtype": options.dtype} | dict(text.split("=", 1) for text in options.set),
        )
    except records.DataError as error:
        parser.error(str(error))
    shape = transformer.Shape(
        source_vocab=config.vocabulary,
        target_vocab=ALPHABET,
        target_length=CODES,
        **{field: getattr(config, field) for field in groups.WRITER},
    )
    execution = executions.Execution(mesh=options.mesh)
    draw = np.random.default_rng(0)
    batch = {
        "source": draw.integers(1, shape.source_vocab, (options.batch, options.length)).astype(
            np.int32
        ),
        "target": draw.integers(1, ALPHABET, (options.batch, CODES)).astype(np.int32),
    }
    params = jax.jit(shape.net().init)(jax.random.key(0), batch["source"][:1], batch["target"][:1])
    weights = sum(leaf.size for leaf in jax.tree.leaves(params))
    optimizer = optimizers.adamw(
        optimizers.schedule(1e-3, warmup=0, decay="constant"), weight_decay=0.01, clip=1.0
    )
    loss = encoder_decoder.likelihood(
        network.build(shape), smoothing=config.smoothing, word_dropout=config.word_dropout
    )
    progress = step.begin(params, optimizer, execution=execution)
    mesh = sharding.mesh_of(execution.mesh)
    placed = sharding.Placement(params, progress, mesh)
    progress, batch = placed.put(progress), placed.split(batch)
    step_fn = step.step_function(
        loss, optimizer, jax.random.key(1), execution=execution, places=placed.places
    )
    counted = speed.Meter(processes=1).operations(step_fn, progress, batch, np.float32(0.5))
    seconds = []
    # steps run back to back without a wait, like in training; the first one compiles
    for _ in range(GROUPS + 1):
        begin = time.perf_counter()
        for _ in range(max(options.rounds // GROUPS, 1)):
            progress, metrics = step_fn(progress, batch, np.float32(0.5))
        jax.block_until_ready(metrics["loss"])
        seconds.append((time.perf_counter() - begin) / max(options.rounds // GROUPS, 1))
    each = float(np.median(seconds[1:]))
    devices = mesh.size if mesh is not None else 1
    device = jax.devices()[0].device_kind
    most = speed.peak(device)
    share = (
        f"{counted / each / devices / most:.1%} of the peak"
        if most
        else "the peak of this device is not known"
    )
    print(
        f"dsi {options.size}, {weights:,} parameters, {config.dtype}, {options.batch} x "
        f"{options.length}, {devices} x {device}: {1e3 * each:.1f} ms a step, "
        f"{options.batch * options.length / each:,.0f} source tokens/s, {counted / 1e9:,.0f} "
        f"GFLOP of matrix products a step, {counted / each / 1e9:,.0f} GFLOP/s, {share}",
        flush=True,
    )
    if options.trace:
        with jax.profiler.trace(options.trace):
            for _ in range(3):
                progress, metrics = step_fn(progress, batch, np.float32(0.5))
            jax.block_until_ready(metrics["loss"])


if __name__ == "__main__":
    main()
