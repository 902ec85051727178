"""A sample of rows in which every pair of values occurs that occurs in any row: most faults need no more than two.

Not every combination of values is possible (nobody deletes a pod's log), so it is chosen from the rows that there are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from itertools import combinations
from typing import TypeVar

Row = TypeVar("Row")


def pairs(*values: Hashable) -> frozenset[Hashable]:
    """Every two of a row's values, each with its place."""
    return frozenset((i, values[i], j, values[j]) for i, j in combinations(range(len(values)), 2))


def sample(rows: Sequence[Row], seed: int, covers: Callable[[Row], frozenset[Hashable]]) -> list[Row]:
    """Some of the rows, which cover together all that any row covers; another seed, another sample.

    Each next row is the one with the most that is still missing, of equal ones the first after a shuffle.
    """
    left = [(row, covers(row)) for row in rows]
    random.Random(seed).shuffle(left)
    missing = {each for _, covered in left for each in covered}
    chosen: list[Row] = []
    while missing:
        best = max(range(len(left)), key=lambda number: len(left[number][1] & missing))
        row, covered = left.pop(best)
        chosen.append(row)
        missing -= covered
    return chosen
