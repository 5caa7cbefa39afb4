"""Quality and speed of our quantisers beside their peers on the same vectors.

    python benchmarks/quantize.py [VECTORS.npy | DATA]

RQ-VAE (3 x 256) against ResidualVQ of vector-quantize-pytorch: relative error, collisions, usage.
RQ-KMeans (3 x 256) against three rounds of faiss k-means: time and error. The bars: RQ-VAE uses at
least 90% of the codes of every level, has no more error and collisions than ResidualVQ, and takes
at most 5 minutes; RQ-KMeans takes at most 1.3 times as long as faiss and has no more error.

DATA is a name from `zoo data list` or a folder; the vectors are TF-IDF and SVD of its texts, 384
wide, the same as for TIGER. Without an argument, the vectors are 12,000 x 768 draws from clusters
of clusters. Peers are optional: `pip install faiss-cpu torch vector-quantize-pytorch` in this
environment, or in another one whose python `--peers PYTHON` names. Exits 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

LEVELS, CODES, ROUNDS = 3, 256, 3  # a timing is the minimum of ROUNDS, in turns
EPOCHS = 100  # of ResidualVQ; its error no longer falls after them
MINUTES = 5.0


def synthetic(rows: int = 12_000, dim: int = 768) -> np.ndarray:
    """Three levels of nested clusters, 30 each, ever closer."""
    random = np.random.default_rng(0)
    total, path = 0.2 * random.normal(size=(rows, dim)), np.zeros(rows, np.int64)
    for scale in (1.0, 0.6, 0.4):
        path = 30 * path + random.integers(0, 30, rows)
        total += scale * random.normal(size=(path.max() + 1, dim))[path]
    return total.astype(np.float32)


def embedded(data: str) -> np.ndarray:
    """Vectors of the documents or items of a collection."""
    from zoo.data import load
    from zoo.text import embed
    from zoo.train import log as logs

    return embed.embed(load.load(data).corpus, "tfidf", logs.Log())


def faiss_kmeans(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(codes, reconstruction) of residual k-means with faiss' defaults (25 iterations)."""
    import faiss

    residual, codes = vectors.copy(), []
    for level in range(LEVELS):
        kmeans = faiss.Kmeans(vectors.shape[1], CODES, niter=25, seed=1 + level)
        kmeans.train(residual)
        codes.append(kmeans.index.search(residual, 1)[1][:, 0])
        residual = residual - kmeans.centroids[codes[-1]]
    return np.stack(codes, axis=1), vectors - residual


def residual_vq(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(codes, reconstruction) of ResidualVQ.

    Its own k-means initialisation, EMA codebooks and replacement of dead codes.
    """
    torch = importlib.import_module("torch")  # by name: torch is optional
    ResidualVQ = importlib.import_module("vector_quantize_pytorch").ResidualVQ
    torch.manual_seed(0)
    x = torch.tensor(vectors)
    quantiser = ResidualVQ(
        dim=x.shape[1],
        num_quantizers=LEVELS,
        codebook_size=CODES,
        kmeans_init=True,
        kmeans_iters=10,
        threshold_ema_dead_code=2,
    )
    with torch.no_grad():
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(x)).split(1024):
                quantiser(x[rows][None])
        output, codes, _ = quantiser.eval()(x[None])
    return codes[0].numpy(), output[0].numpy()


PEERS = {"faiss": faiss_kmeans, "residualvq": residual_vq}


def peer(name: str, path: str, rounds: int) -> dict:
    """Measures of a peer on the vectors of a file; {"missing": why} if it is not installed."""
    vectors = np.load(path)
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        try:
            codes, output = PEERS[name](vectors)
        except ImportError as error:
            return {"missing": str(error)}
        seconds.append(time.perf_counter() - started)
    return described(vectors, codes, output, min(seconds))


def described(vectors: np.ndarray, codes: np.ndarray, output: np.ndarray, seconds: float) -> dict:
    """The measures of one quantiser."""
    _, counts = np.unique(codes, axis=0, return_counts=True)
    exact = vectors.astype(np.float64)
    return {
        "seconds": seconds,
        "relative_error": float(
            ((exact - output) ** 2).sum() / ((exact - exact.mean(axis=0)) ** 2).sum()
        ),
        "colliding": float(counts[counts > 1].sum() / len(codes)),
        "usage": [len(np.unique(column)) / CODES for column in codes.T],
    }


def ask(python: str, name: str, path: str, rounds: int) -> dict:
    """Runs `peer` in its own process, possibly of another environment."""
    command = [python, __file__, "--peer", name, "--rounds", str(rounds), path]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        return {"missing": (result.stderr.strip().splitlines() or ["no output"])[-1]}
    return json.loads(result.stdout.strip().splitlines()[-1])


def rq_kmeans(vectors: np.ndarray) -> dict:
    import jax

    from zoo.docids import quantize

    started = time.perf_counter()
    codebooks, codes = quantize.rq_kmeans(vectors, jax.random.key(0), levels=LEVELS, codes=CODES)
    seconds = time.perf_counter() - started
    return described(vectors, codes, quantize.decode(codes, codebooks), seconds)


def rq_vae(vectors: np.ndarray, steps: int | None) -> dict:
    import jax

    from zoo.schemes import rqvae
    from zoo.train import log as logs

    config = rqvae.Config(levels=LEVELS, codes=CODES)
    config = dataclasses.replace(config, steps=steps or config.steps)
    started = time.perf_counter()
    log = logs.Log()
    log.phase(f"RQ-VAE, {config.steps} steps")
    state = rqvae.fit(vectors, config, jax.random.key(0), log)
    codes = rqvae.encode(state, vectors)
    return described(vectors, codes, rqvae.decode(state, codes), time.perf_counter() - started)


def measured(vectors: np.ndarray, python: str, steps: int | None) -> dict[str, dict]:
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "vectors.npy")
        np.save(path, vectors)
        print(f"RQ-KMeans with its compilation: {rq_kmeans(vectors)['seconds']:.1f} s", flush=True)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(rq_kmeans(vectors))
            theirs.append(ask(python, "faiss", path, 1))
        least = lambda results: min(results, key=lambda result: result.get("seconds", 0))
        rows = {"RQ-KMeans": least(ours), "faiss": least(theirs), "RQ-VAE": rq_vae(vectors, steps)}
        return rows | {"ResidualVQ": ask(python, "residualvq", path, 1)}


def bars(rows: dict[str, dict]) -> dict[str, bool]:
    """bar -> True if met; without the bars of missing peers."""
    kmeans, faiss, vae, vq = (rows[name] for name in ("RQ-KMeans", "faiss", "RQ-VAE", "ResidualVQ"))
    reached = {
        "RQ-VAE uses 90% of the codes of every level": min(vae["usage"]) >= 0.9,
        f"RQ-VAE takes at most {MINUTES:.0f} minutes": vae["seconds"] <= 60 * MINUTES,
    }
    if "missing" not in faiss:
        ratio = kmeans["seconds"] / faiss["seconds"]
        reached[f"RQ-KMeans takes at most 1.3 x faiss' time ({ratio:.2f} x)"] = ratio <= 1.3
        reached["RQ-KMeans' error is no worse than faiss'"] = (
            kmeans["relative_error"] <= faiss["relative_error"]
        )
    if "missing" not in vq:
        for measure in ("relative_error", "colliding"):
            reached[f"RQ-VAE's {measure} is no worse than ResidualVQ's"] = (
                vae[measure] <= vq[measure]
            )
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "vectors",
        nargs="?",
        metavar="VECTORS.npy|DATA",
        help="a file of floats [N, D], or a collection whose texts are embedded",
    )
    parser.add_argument(
        "--peers",
        default=sys.executable,
        metavar="PYTHON",
        help="python of the environment with the peers",
    )
    parser.add_argument("--steps", type=int, help="training steps of RQ-VAE (default: its own)")
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=1, help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.peer:
        print(json.dumps(peer(parsed.peer, parsed.vectors, parsed.rounds)))
        return 0
    read = (
        (lambda path: np.load(path).astype(np.float32))
        if (parsed.vectors or "").endswith(".npy")
        else embedded
    )
    vectors = read(parsed.vectors) if parsed.vectors else synthetic()
    rows = measured(vectors, parsed.peers, parsed.steps)
    print(
        f"{len(vectors):,} x {vectors.shape[1]}, {LEVELS} x {CODES} codes\n{'':12s} seconds  "
        "error  colliding  usage of each level"
    )
    for name, row in rows.items():
        if "missing" in row:
            print(f"{name:12s} not measured: {row['missing']}")
            continue
        usage = " ".join(f"{share:.2f}" for share in row["usage"])
        print(
            f"{name:12s} {row['seconds']:7.1f}  {row['relative_error']:.3f}  "
            f"{row['colliding']:9.3f}  {usage}"
        )
    reached = bars(rows)
    print(
        "\n".join(
            f"{'reached' if is_reached else 'MISSED '}  {bar}"
            for bar, is_reached in reached.items()
        )
    )
    return 0 if all(reached.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
