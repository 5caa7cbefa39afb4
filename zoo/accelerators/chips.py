"""Accelerators to compile for: TPU topologies without a TPU, and the devices that JAX sees."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import jax

from zoo.records import DataError

GIB = 2**30


class Chip(NamedTuple):
    """What one device can do, by its vendor's page."""

    name: str
    memory: int  # bytes
    flops: float  # a second, dense bfloat16
    bandwidth: float  # bytes of its memory a second
    interconnect: float  # bytes a second to other devices, both directions


# cloud.google.com/tpu/docs/v4, /v5e, /v5p, /v6e; v4's interconnect is 6 links of 50 GB/s
TPUS = {
    "v4": Chip("TPU v4", 32 * GIB, 275e12, 1228e9, 300e9),
    "v5e": Chip("TPU v5e", 16 * GIB, 197e12, 819e9, 400e9),
    "v5p": Chip("TPU v5p", 95 * GIB, 459e12, 2765e9, 1200e9),
    "v6e": Chip("TPU v6e", 32 * GIB, 918e12, 1640e9, 800e9),
}
# NVIDIA's data sheets, SXM; NVLink
GPUS = {
    "NVIDIA A100": Chip("A100", 80 * GIB, 312e12, 2039e9, 600e9),
    "NVIDIA H100": Chip("H100", 80 * GIB, 989e12, 3350e9, 900e9),
    "NVIDIA H200": Chip("H200", 141 * 10**9, 989e12, 4800e9, 900e9),
}
EXAMPLES = "v5e:2x4, v5p:2x2x1, v6e:2x2, gpu or cpu"


class Target(NamedTuple):
    """Devices that programs are compiled for."""

    name: str
    devices: tuple[Any, ...]
    chip: Chip | None  # None: a device that no table describes; nothing is predicted
    processes: int


def target(topology: str) -> Target:
    """The devices of a topology such as "v5e:2x4"; "gpu" and "cpu" are those that JAX sees.

    Needs libtpu for TPUs, and no TPU. Raises DataError for a topology that does not exist.
    """
    if topology in ("cpu", "gpu"):
        return _seen(topology)
    family, _, layout = topology.partition(":")
    if family not in TPUS or not layout:
        raise DataError(f"topology: expected {EXAMPLES}, got {topology!r}")
    # libtpu asks the machine what it is; without these it waits for a metadata server
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-8")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_STDERR_LOG_LEVEL", "3")
    from jax.experimental import topologies

    try:
        found = topologies.get_topology_desc(topology, platform="tpu").devices
    except Exception as error:  # of the plugin: no libtpu, or a layout that it does not know
        text = str(error).splitlines()[0]
        remedy = (
            "pip install 'jax[tpu]'" if "libtpu" in text or "not installed" in text else EXAMPLES
        )
        raise DataError(
            f"topology: {topology!r} cannot be compiled for ({text}); {remedy}"
        ) from None
    processes = len({device.process_index for device in found})
    return Target(topology, tuple(found), TPUS[family], processes)


def _seen(platform: str) -> Target:
    try:
        devices = jax.devices(platform)
    except RuntimeError:
        raise DataError(
            f"topology: JAX sees no {platform} here; choose another: {EXAMPLES}"
        ) from None
    kind = devices[0].device_kind
    chip = next((chip for name, chip in GPUS.items() if kind.startswith(name)), None)
    return Target(platform, tuple(devices), chip, jax.process_count())
