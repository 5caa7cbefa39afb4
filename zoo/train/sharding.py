"""Shardings of arrays over a mesh: one table of rules by the path of a parameter.

Axes: "data" splits the rows of a batch; "fsdp" splits them too, and each parameter over the same
devices (ZeRO, arXiv 1910.02054); "model" splits the inner dimensions of attention and MLP
(Megatron, arXiv 1909.08053) and vocabularies. The compiler inserts the communication (GSPMD,
arXiv 2105.04663), so rules affect memory and time, never the result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.records import DataError

AXES = ("data", "fsdp", "model")
ROWS = ("data", "fsdp")  # axes that split a batch
REPLICATED: tuple = ()

# (pattern of the path, layout, fallback layouts ...); a layout has an axis for each dimension. The
# first row whose pattern matches applies, with its first layout whose axes divide the dimensions.
# Rows that end in REPLICATED fall back to a copy on each device.
RULES: tuple[tuple, ...] = (
    (r"attention/(query|key|value)/kernel$", ("fsdp", "model", None)),  # [D, H, Dh]
    (r"attention/out/kernel$", ("model", None, "fsdp")),  # [H, Dh, D]
    (r"mlp/(gate|value)/kernel$", ("fsdp", "model")),  # [D, F]
    (r"mlp/out/kernel$", ("model", "fsdp")),  # [F, D]
    (r"/embedding$", ("model", "fsdp"), (None, "fsdp"), REPLICATED),  # [V, D], V of any size
    (r"head/kernel$", ("fsdp", "model"), ("fsdp", None), REPLICATED),  # [D, V]
    (r"kernel$", ("fsdp", "model"), ("fsdp", None), REPLICATED),  # of other networks, of any width
    (r"codebooks$", (None, "fsdp", None), REPLICATED),  # [L, C, d]
    (r"", REPLICATED),  # norms, biases, tables of distances: small
)


def mesh_of(text: str) -> jax.sharding.Mesh | None:
    """The mesh of a text such as "data=4,model=2" over all devices of all processes; None for "".

    Raises DataError for other axes, sizes that are not positive, or a product that is not the
    number of devices.
    """
    if not text:
        return None
    sizes = sizes_of(text)
    wanted, found = math.prod(sizes.values()), jax.device_count()
    if wanted != found:
        remedy = (
            ""
            if jax.default_backend() != "cpu"
            else "; to try it on a CPU, set "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={wanted}"
        )
        raise DataError(
            f"mesh: {text} is over {wanted} devices, and JAX sees {found} "
            f"({jax.devices()[0].device_kind}); choose sizes whose product is {found}{remedy}"
        )
    return jax.make_mesh(
        tuple(sizes.values()), tuple(sizes), axis_types=(jax.sharding.AxisType.Auto,) * len(sizes)
    )


def sizes_of(text: str) -> dict[str, int]:
    """Sizes of the axes of a mesh by the text such as "data=4,model=2".

    Raises DataError for other axes and for sizes that are not positive.
    """
    sizes: dict[str, int] = {}
    for part in text.split(","):
        axis, _, size = part.strip().partition("=")
        if axis not in AXES or axis in sizes or not size.isdecimal() or not int(size):
            raise DataError(
                f"mesh: expected sizes of {', '.join(AXES)}, as data=4,model=2, "
                f"got {text!r} ({part.strip()!r})"
            )
        sizes[axis] = int(size)
    return sizes


def layout(
    path: str, shape: Sequence[int], mesh: jax.sharding.Mesh, rules: Sequence[tuple] = RULES
) -> jax.sharding.PartitionSpec:
    """The partition of a parameter by RULES; axes that the mesh lacks split nothing.

    Raises DataError naming the parameter, the dimension and the axis if no layout of the row
    divides the shape.
    """
    pattern, *layouts = next(row for row in rules if re.search(row[0], path))
    refused = ""
    for axes in layouts:
        if len(axes) > len(shape):
            refused = (
                refused
                or f"{path}: has {len(shape)} dimensions, and the rule {pattern!r} is for "
                f"{len(axes)}"
            )
            continue
        spec = [axis if axis in mesh.axis_names else None for axis in axes]
        uneven = [
            (i, axis)
            for i, axis in enumerate(spec)
            if axis is not None and shape[i] % mesh.shape[axis]
        ]
        if not uneven:
            return jax.sharding.PartitionSpec(*spec)
        dimension, axis = uneven[0]
        refused = refused or (
            f"{path}: dimension {dimension} is {shape[dimension]}, which "
            f"{axis}={mesh.shape[axis]} does not divide; choose another size of the axis {axis} "
            "in the mesh, or of that dimension in the configuration"
        )
    raise DataError(f"mesh: parameter {refused}")


def layouts(params: Any, tree: Any, mesh: jax.sharding.Mesh) -> Any:
    """A sharding for each leaf: that of its parameter if it has its shape, else replicated.

    tree: contains the parameters or trees like them, such as an optimiser's moments. A leaf belongs
        to the parameter whose path is a suffix of its own.
    """
    specs = {
        _names(path): (leaf.shape, layout("/".join(_names(path)), leaf.shape, mesh))
        for path, leaf in jax.tree.leaves_with_path(params)
    }

    def place(path: tuple, leaf: Any) -> jax.sharding.NamedSharding:
        names = _names(path)
        owners = (specs[names[start:]] for start in range(len(names)) if names[start:] in specs)
        replicated = jax.sharding.PartitionSpec()
        shape, spec = next(owners, (None, replicated))
        return jax.sharding.NamedSharding(mesh, spec if shape == leaf.shape else replicated)

    return jax.tree.map_with_path(place, tree)


def put(leaf: Any, where: jax.sharding.Sharding) -> jax.Array:
    """The array, which every process holds or which is on the mesh already, with this sharding."""
    if where.is_fully_addressable or (
        isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
    ):
        return jax.device_put(leaf, where)
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, where, lambda part: host[part])


def whole(leaf: jax.Array, mesh: jax.sharding.Mesh) -> jax.Array:
    """The array of the mesh, replicated to the first device of this process."""
    if leaf.is_fully_addressable:
        return jax.device_put(leaf, jax.local_devices()[0])
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.device_put(leaf, everywhere).addressable_data(0)


class Placement:
    """Placement of a training's arrays: on the default device, or on a mesh."""

    def __init__(self, params: Any, progress: Any, mesh: jax.sharding.Mesh | None) -> None:
        """progress: everything that a step changes, the parameters included, not yet placed."""
        # the compiler places what lies between, whatever the types of the axes
        if mesh is not None:
            mesh = jax.sharding.Mesh(mesh.devices, mesh.axis_names)
        self._mesh = mesh
        self.places = None if mesh is None else layouts(params, progress, mesh)
        # which of how many blocks of a batch this process reads
        self.part, self.parts = (0, 1) if mesh is None else share(mesh)

    def put(self, progress: Any) -> Any:
        """The progress with every array at its place."""
        return (
            jax.tree.map(jnp.asarray, progress)
            if self._mesh is None
            else jax.tree.map(put, progress, self.places)
        )

    def split(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """This process's rows of a batch as its part of the whole batch on all devices.

        Raises DataError if the devices that split a batch do not divide it.
        """
        if self._mesh is None:
            return {name: jnp.asarray(array) for name, array in batch.items()}
        where = rows(self._mesh)
        pieces = (
            math.prod(self._mesh.shape[axis] for axis in ROWS if axis in self._mesh.shape)
            // self.parts
        )
        size = len(next(iter(batch.values())))
        if size % pieces:
            total = size * self.parts
            raise DataError(
                f"mesh: a batch of {total} rows cannot be split over {pieces * self.parts} devices "
                "(data times fsdp); choose a multiple"
            )
        return {
            name: jax.make_array_from_process_local_data(where, array)
            for name, array in batch.items()
        }

    def fetch(self, tree: Any) -> Any:
        """Arrays of the progress as this process's own."""
        mesh = self._mesh
        return tree if mesh is None else jax.tree.map(lambda leaf: whole(leaf, mesh), tree)


def rows(mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
    """The sharding of batches: rows split over the axes of ROWS."""
    return jax.sharding.NamedSharding(
        mesh, jax.sharding.PartitionSpec(tuple(axis for axis in ROWS if axis in mesh.axis_names))
    )


def share(mesh: jax.sharding.Mesh) -> tuple[int, int]:
    """(this process's number, how many there are) of the equal blocks of rows that processes read.

    Processes that differ in the model axis alone read the same block. Raises DataError if blocks
    overlap partly.
    """
    blocks = math.prod(mesh.shape[axis] for axis in ROWS if axis in mesh.shape)
    held: dict[int, set[int]] = {}
    for device, (part,) in rows(mesh).devices_indices_map((blocks,)).items():
        held.setdefault(device.process_index, set()).update(range(*part.indices(blocks)))
    distinct = sorted({tuple(sorted(mine)) for mine in held.values()})
    if [block for mine in distinct for block in mine] != list(range(blocks)) or len(
        {len(mine) for mine in distinct}
    ) > 1:
        raise DataError(
            f"mesh: {dict(mesh.shape)} does not give every process one block of a batch's rows; "
            "let the model axis divide the devices of a process"
        )
    return distinct.index(tuple(sorted(held[jax.process_index()]))), len(distinct)


def _names(path: tuple) -> tuple[str, ...]:
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in path)
