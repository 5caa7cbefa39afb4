"""A small two-process training: `python paired_run.py FOLDER ADDRESS:PORT,NUMBER,COUNT STEPS`."""

import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import resumed_run as run

from zoo.train import execution, log, loop, processes

if __name__ == "__main__":
    folder, text, steps = sys.argv[1:]
    processes.start(text)
    loop.SAVE_SECONDS = 0.0
    logged = log.Log(
        folder if processes.first() else None,
        quiet=True,
        execution=execution.Execution(mesh="data=2,fsdp=2", accumulate=2, average=0.9),
    )
    params = run.train(logged, steps=int(steps), folder=f"{folder}/training", identity="run")
    if processes.first():
        np.savez(
            f"{folder}/params.npz", **{name: np.asarray(leaf) for name, leaf in params.items()}
        )
