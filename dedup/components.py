"""Connected components: union-find for one machine, and the steps of a distributed algorithm.

Distributed: alternating large-star and small-star (Kiveris et al., *Connected Components in MapReduce and
Beyond*, 2014). Edges live in partitions by node; each step sees all neighbours of the nodes of its partition, and
rewrites the edges until every node points at the smallest node of its component. A step needs memory for one
partition and never for a component.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["components", "contract", "is_forest_of_stars", "large_star", "small_star"]

I64 = npt.NDArray[np.int64]


@njit(cache=True, nogil=True)
def _union_find(n, a, b):  # type: ignore[no-untyped-def]
    parent = np.arange(n)
    for e in range(len(a)):
        x, y = a[e], b[e]
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        while parent[y] != y:
            parent[y] = parent[parent[y]]
            y = parent[y]
        # The smaller becomes the root: labels need no second pass, and path halving alone keeps trees shallow.
        if x < y:
            parent[y] = x
        elif y < x:
            parent[x] = y
    for x in range(n):  # parents are smaller, so one pass in order is enough
        parent[x] = parent[parent[x]]
    return parent


def components(a: I64, b: I64) -> tuple[I64, I64]:
    """Nodes that occur in the edges, ascending, and for each the smallest node of its component.

    >>> [x.tolist() for x in components(np.array([5, 9, 7]), np.array([7, 2, 1]))]
    [[1, 2, 5, 7, 9], [1, 2, 1, 1, 2]]
    """
    if len(a) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    nodes, local = np.unique(np.concatenate([a, b]), return_inverse=True)
    root = _union_find(len(nodes), local[: len(a)], local[len(a) :])
    return nodes.astype(np.int64), nodes[root].astype(np.int64)


def contract(a: I64, b: I64) -> tuple[I64, I64]:
    """Edges with the same components, one for each node but the smallest of a component: (node, smallest).

    Each partition of a large graph is contracted on its own before the rounds begin.
    """
    nodes, labels = components(a, b)
    inner = nodes != labels
    return nodes[inner], labels[inner]


def _group(node: I64, neighbour: I64) -> tuple[I64, I64, I64, I64]:
    """Distinct (node, neighbour) sorted, and starts and sizes of the nodes' groups."""
    order = np.lexsort((neighbour, node))
    node, neighbour = node[order], neighbour[order]
    keep = np.ones(len(node), dtype=bool)
    keep[1:] = (node[1:] != node[:-1]) | (neighbour[1:] != neighbour[:-1])
    node, neighbour = node[keep], neighbour[keep]
    new = np.ones(len(node), dtype=bool)
    new[1:] = node[1:] != node[:-1]
    starts = np.flatnonzero(new)
    return node, neighbour, starts, np.diff(np.append(starts, len(node)))


def large_star(node: I64, neighbour: I64) -> tuple[I64, I64]:
    """Tie every larger neighbour of a node to the smallest of the node and its neighbours.

    Input: both directions of each edge, all of a node's in this call. Output: edges (larger, smaller).
    """
    if len(node) == 0:
        return node, neighbour
    node, neighbour, starts, sizes = _group(node, neighbour)
    smallest = np.repeat(np.minimum(neighbour[starts], node[starts]), sizes)
    larger = neighbour > node
    return neighbour[larger], smallest[larger]


def small_star(node: I64, neighbour: I64) -> tuple[I64, I64]:
    """Tie a node and its smaller neighbours to the smallest of them.

    Input: each edge once, as (larger, smaller), all of a larger node's in this call. Output: edges (larger, smaller).
    """
    if len(node) == 0:
        return node, neighbour
    node, neighbour, starts, sizes = _group(node, neighbour)
    smallest = neighbour[starts]
    spread = np.repeat(smallest, sizes)
    others = neighbour != spread
    return (
        np.concatenate([node[starts], neighbour[others]]),
        np.concatenate([smallest, spread[others]]),
    )


def is_forest_of_stars(node: I64, neighbour: I64) -> bool:
    """Whether the edges (larger, smaller) are one per larger node: the part of convergence that one partition can see.

    The whole has converged when this holds everywhere and no node is at once a larger and a smaller end.
    """
    return len(np.unique(node)) == len(node) and bool(np.all(node > neighbour))
