"""From codes to identifiers: policies for documents with equal codes, and for added documents.

Code c of a level is token c + 1. `collide` and `extend` take one of POLICIES:

counter    a last token numbers documents of equal codes 1, 2, ... in row order; all have it
           (TIGER, arXiv 2305.05065, sec. 3.1)
sinkhorn   documents with equal codes but for the last get different last codes at the least total
           distance; the Sinkhorn plan of that problem is rounded to an assignment (after LC-Rec,
           arXiv 2311.09049, sec. 3.1, whose plan may leave duplicates). If more than C agree, those
           that fit worst first move to the nearest earlier code that has room
refuse     an error
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table

POLICIES = ("counter", "sinkhorn", "refuse")
EPSILON, ROUNDS = 0.01, 100  # of the plan that is rounded; costs are scaled to 0 .. 1
TIE = 1e-3  # of the cost taken off the plan before it is rounded, for rows that it gives the same
SMALLEST_GROUP = 8  # groups are padded to 8, 16, 32, ... rows: one compilation each

# rows i[G], codes i[G, t + 1] -> f[G, C] of each code in the last place
Costs = Callable[[np.ndarray, np.ndarray], np.ndarray]


def collide(
    codes: np.ndarray, *, num_codes: int, policy: str, costs: Costs | None = None
) -> table.Docids:
    """Identifiers of N documents from their codes.

    Args:
      codes: i32[N, L] from 0 to num_codes - 1.
      num_codes: C.
      policy: one of POLICIES.
      costs: as `quantize.distances`, of the codes of a level after those before it; needed by
        sinkhorn only.

    Returns: Docids of length L + 1 (counter) or L, with alphabet 1 + the larger of C and, under
      counter, the most that collide.

    Raises:
      ValueError: all of several documents have the same codes; documents collide under `refuse`;
        there are more documents than identifiers under `sinkhorn`.
    """
    codes = np.asarray(codes)
    if len(codes) > 1 and (codes == codes[0]).all():
        raise ValueError(
            f"collide: all {len(codes)} documents have the codes {codes[0].tolist()}: the "
            "tokenizer has collapsed; train it again "
            "with k-means initialisation and restarts, or look at the vectors"
        )
    return extend(None, codes, num_codes=num_codes, policy=policy, costs=costs)


def extend(
    ids: table.Docids | None,
    codes: np.ndarray,
    *,
    num_codes: int,
    policy: str,
    costs: Costs | None = None,
) -> table.Docids:
    """The identifiers of `ids`, unchanged, and after them those of new documents with codes i32[M,
    L]; `ids` by the same policy.

    Under counter the numbers of each group go on, so that adding documents in parts or at once is
    the same. Under sinkhorn the new documents get last codes that no old one of their group has.
    `costs` is asked for rows from 0 to M - 1.
    """
    codes = np.asarray(codes)
    _refuse_shape(ids, codes, num_codes, policy)
    if policy == "counter":
        known = np.zeros((0, codes.shape[1]), np.int64) if ids is None else ids.tokens[:, :-1] - 1
        number = _numbers(np.concatenate([known, codes]))[len(known) :]
        fresh = np.column_stack([codes, number])
    elif policy == "sinkhorn":
        if costs is None:
            raise ValueError(
                "collide: sinkhorn needs the costs of the last codes; pass costs=, or choose "
                "counter"
            )
        known = np.zeros((0, codes.shape[1]), np.int64) if ids is None else ids.tokens - 1
        fresh = _shared_out(known, codes, num_codes, costs)
    else:
        fresh = codes
        known = np.zeros((0, codes.shape[1]), np.int64) if ids is None else ids.tokens - 1
        _refuse_duplicates(np.concatenate([known, codes]))
    tokens = fresh + 1 if ids is None else np.concatenate([ids.tokens, fresh + 1])
    return table.build(tokens.astype(np.int32), int(max(num_codes, tokens.max())) + 1)


@functools.partial(jax.jit, static_argnames="rounds")
def sinkhorn(
    cost: jax.Array, rows: jax.Array, columns: jax.Array, *, epsilon: float, rounds: int
) -> jax.Array:
    """Plan P f32[G, C] with sums `rows` and `columns` that minimises <P, cost> - epsilon H(P)
    (Cuturi 2013, arXiv 1306.0895).

    Computed on logarithms, so that a small epsilon does not underflow; the last half round makes
    the sums of rows exact.

    cost: f32[G, C]; rows: f32[G], columns: f32[C], at least 0 and of one total, 0 = takes no part.
    O(rounds G C).
    """
    log_rows, log_columns = jnp.log(rows), jnp.log(columns)  # -inf where nothing is to be had

    def balance(wanted, scores, axis):
        total = jax.nn.logsumexp(scores, axis=axis)
        return jnp.where(jnp.isfinite(wanted) & jnp.isfinite(total), wanted - total, -jnp.inf)

    def round_(_, state):
        f, g = state
        g = balance(log_columns, f[:, None] - cost / epsilon, 0)
        return balance(log_rows, g[None] - cost / epsilon, 1), g

    f, g = jax.lax.fori_loop(
        0,
        rounds,
        round_,
        (jnp.where(rows > 0, 0.0, -jnp.inf), jnp.where(columns > 0, 0.0, -jnp.inf)),
    )
    return jnp.exp(f[:, None] + g[None] - cost / epsilon)


def _numbers(codes: np.ndarray) -> np.ndarray:
    """i64[N] how many earlier rows are the same."""
    _, group = np.unique(codes, axis=0, return_inverse=True)
    group = group.reshape(-1)
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], group[order], side="left")
    number = np.empty(len(codes), np.int64)
    number[order] = np.arange(len(codes)) - first
    return number


def _with_room(known: np.ndarray, codes: np.ndarray, num_codes: int, costs: Costs) -> np.ndarray:
    """Codes such that every prefix has at most as many rows as continuations: surplus rows move to
    codes with room, level by level.
    """
    length = codes.shape[1]
    if len(known) + len(codes) > num_codes**length:
        found = f"{len(known) + len(codes)} documents and {num_codes}^{length} identifiers"
        raise ValueError(f"collide: {found}; take more codes or levels, or policy counter")
    moved = codes.copy()
    for level in range(length - 1):
        capacity = num_codes ** (length - 1 - level)
        prefixes, count = np.unique(
            np.concatenate([known, moved])[:, : level + 1], axis=0, return_counts=True
        )
        for full in prefixes[count > capacity]:
            together = np.concatenate([known, moved])
            siblings = (together[:, :level] == full[:level]).all(axis=1)
            room = capacity - np.bincount(together[siblings, level], minlength=num_codes)
            rows = np.flatnonzero((moved[:, : level + 1] == full).all(axis=1))
            cost = np.asarray(costs(rows, moved[rows, : level + 1]))
            worst = np.argsort(-cost[:, full[level]], kind="stable")[: -room[full[level]]]
            for place in worst:
                moved[rows[place], level] = code = np.where(room > 0, cost[place], np.inf).argmin()
                room[code] -= 1
            for deeper in range(level + 1, length):  # the nearest after the new one
                moved[rows[worst], deeper] = np.asarray(
                    costs(rows[worst], moved[rows[worst], : deeper + 1])
                ).argmin(axis=1)
    return moved


def _shared_out(known: np.ndarray, codes: np.ndarray, num_codes: int, costs: Costs) -> np.ndarray:
    """Codes changed so that no row equals another or a known one, in the last code if possible."""
    codes = _with_room(known, codes, num_codes, costs)
    together = np.concatenate([known, codes])
    _, prefix = np.unique(together[:, :-1], axis=0, return_inverse=True)
    prefix = prefix.reshape(-1)
    new = len(known) + np.flatnonzero(np.isin(prefix[len(known) :], prefix[_duplicated(together)]))
    shared = codes.copy()
    order = new[np.argsort(prefix[new], kind="stable")]
    for group in np.split(order, np.flatnonzero(np.diff(prefix[order])) + 1) if len(order) else ():
        rows = group - len(known)
        taken = known[prefix[: len(known)] == prefix[group[0]], -1]
        free = np.setdiff1d(np.arange(num_codes), taken)
        shared[rows, -1] = free[_assigned(np.asarray(costs(rows, codes[rows]))[:, free])]
    return shared


def _assigned(cost: np.ndarray) -> np.ndarray:
    """i[G] a column for each row, no column twice: the Sinkhorn plan, rounded."""
    from scipy import optimize

    count, columns = cost.shape
    size = SMALLEST_GROUP
    while size < count + 1:
        size *= 2
    padded = np.zeros((size, columns), np.float32)
    padded[:count] = (cost - cost.min()) / max(float(cost.max() - cost.min()), 1e-30)
    mass = np.zeros(size, np.float32)
    mass[:count], mass[count] = 1, columns - count  # a row more takes what is left over, at no cost
    plan = sinkhorn(padded, mass, np.ones(columns, np.float32), epsilon=EPSILON, rounds=ROUNDS)
    return optimize.linear_sum_assignment((np.asarray(plan) - TIE * padded)[:count], maximize=True)[
        1
    ]


def _duplicated(codes: np.ndarray) -> np.ndarray:
    """Rows that are another row too."""
    _, group, count = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    return np.flatnonzero(count[group.reshape(-1)] > 1)


def _refuse_duplicates(codes: np.ndarray) -> None:
    same = _duplicated(codes)
    if len(same):
        row = codes[same[0]]
        other = same[1:][(codes[same[1:]] == row).all(axis=1)][0]
        raise ValueError(
            f"collide: documents {int(same[0])} and {int(other)} both have the codes "
            f"{row.tolist()} ({len(same)} documents collide); "
            "choose policy counter or sinkhorn, or more codes"
        )


def _refuse_shape(ids: table.Docids | None, codes: np.ndarray, num_codes: int, policy: str) -> None:
    if policy not in POLICIES:
        raise ValueError(f"collide: no policy {policy!r}; expected one of: {', '.join(POLICIES)}")
    if codes.ndim != 2 or 0 in codes.shape or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(
            f"collide: expected codes i32[N, L] with N, L >= 1, got {codes.dtype} "
            f"{list(codes.shape)}"
        )
    outside = ((codes < 0) | (codes >= num_codes)).any(axis=1)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise ValueError(
            f"collide: document {row} has the codes {codes[row].tolist()}; expected 0 to "
            f"{num_codes - 1}"
        )
    length = codes.shape[1] + (policy == "counter")
    if ids is not None and ids.tokens.shape[1] != length:
        raise ValueError(
            f"extend: expected identifiers of length {length} for {policy}, got "
            f"{ids.tokens.shape[1]}"
        )
