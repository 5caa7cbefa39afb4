"""Texts a second of a pretrained encoder here and in sentence-transformers, in turns.

    python benchmarks/encoder.py --threads 1 [--encoder minilm] [--data FOLDER] [--texts 200]

Both read the same texts on the same cores, in rounds that alternate, so that another job on the
machine slows both; the best round of each counts. Without sentence-transformers (`pip install
sentence-transformers`, never a dependency of the zoo) only ours is measured. Texts are documents of
a collection by name or folder; by default drawn from a word list, 20 to 300 words long.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import time

ROUNDS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="cores for both")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--data", default="", help="collection whose documents are the texts")
    parser.add_argument("--texts", type=int, default=200)
    parsed = parser.parse_args()
    # before XLA and torch count the cores
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: parsed.threads])
    texts = read(parsed.data, parsed.texts)
    systems = ours(parsed.encoder)
    if importlib.util.find_spec("sentence_transformers"):
        systems |= peer(parsed.encoder, parsed.threads)
    vectors, best = {}, dict.fromkeys(systems, float("inf"))
    for name, encode in systems.items():
        vectors[name] = encode(texts)  # compiles
    for _ in range(ROUNDS):
        for name, encode in systems.items():
            started = time.perf_counter()
            encode(texts)
            best[name] = min(best[name], time.perf_counter() - started)
    words = sum(len(text.split()) for text in texts) / len(texts)
    print(f"{len(texts)} texts of {words:.0f} words, {parsed.threads} threads, {parsed.encoder}")
    reference = next(iter(vectors.values()))
    for name, seconds in best.items():
        off = abs(vectors[name] - reference).max()
        print(f"{name:32} {len(texts) / seconds:7.1f} texts/s   largest difference {off:.1e}")


def read(data: str, count: int) -> list[str]:
    """So many texts in a random order."""
    draw = random.Random(0)
    if data:
        from zoo.data import load

        texts = load.load(data).corpus.contents()
        draw.shuffle(texts)
        return texts[:count]
    words = "the of and retrieval model index token query document beam search vector text".split()
    return [" ".join(draw.choices(words, k=draw.randint(20, 300))) for _ in range(count)]


def ours(encoder: str) -> dict:
    """Ours in float32 and bfloat16, by name."""
    import dataclasses

    from zoo.nets import pretrained
    from zoo.text import encoders
    from zoo.train import log as logs

    loaded, quiet = pretrained.load(encoder), logs.Log(quiet=True)
    half = loaded._replace(shape=dataclasses.replace(loaded.shape, dtype="bfloat16"))
    return {
        "ours float32": lambda texts: encoders.encode(texts, log=quiet, encoder=loaded),
        "ours bfloat16": lambda texts: encoders.encode(texts, log=quiet, encoder=half),
    }


def peer(encoder: str, threads: int) -> dict:
    """sentence-transformers in float32 and bfloat16, by name."""
    import sentence_transformers
    import torch

    from zoo.nets import pretrained

    torch.set_num_threads(threads)
    folder, found = str(pretrained.locate(encoder)), {}
    for dtype in (torch.float32, torch.bfloat16):
        model = sentence_transformers.SentenceTransformer(folder, device="cpu").to(dtype)
        name = f"sentence-transformers {str(dtype).removeprefix('torch.')}"
        found[name] = lambda texts, model=model: (
            model.encode(texts, convert_to_tensor=True, show_progress_bar=False).float().numpy()
        )
    return found


if __name__ == "__main__":
    main()
