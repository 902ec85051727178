"""The sample that stands for a whole table: nothing that two values can do together is left out."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import test_kill_points
from tests.cli.test_faults import CLASSES, TABLE, covered
from tests.faults import KINDS
from tests.pairs import pairs, sample


def test_a_row_has_every_two_of_its_values_with_their_places() -> None:
    assert pairs("a", "b", "a") == {(0, "a", 1, "b"), (0, "a", 2, "a"), (1, "b", 2, "a")}
    assert pairs("a", "b") != pairs("b", "a")
    assert pairs("a") == frozenset()


ROWS = st.lists(st.tuples(*[st.sampled_from("abcd")] * 4), max_size=60)


@given(ROWS, st.integers(0, 1000))
def test_every_pair_of_every_row_is_in_the_sample(rows: list[tuple[str, ...]], seed: int) -> None:
    chosen = sample(rows, seed, lambda row: pairs(*row))
    assert {p for row in chosen for p in pairs(*row)} == {p for row in rows for p in pairs(*row)}
    assert len(set(chosen)) == len(chosen), "no row twice"
    assert set(chosen) <= set(rows)


def test_it_is_small_where_the_table_is_large() -> None:
    table = list(product(range(4), repeat=6))  # 4096 rows; no sample of pairs has fewer than 16
    assert 16 <= len(sample(table, 1, lambda row: pairs(*row))) <= 40


@pytest.mark.parametrize("seed", [0, 7, 123_456])
def test_a_seed_draws_the_same_again_and_another_one_draws_another(seed: int) -> None:
    table = list(product("abc", repeat=4))

    def drawn(by: int) -> list[tuple[str, ...]]:
        return sample(table, by, lambda row: pairs(*row))

    assert drawn(seed) == drawn(seed)
    assert drawn(seed) != drawn(seed + 1)


@pytest.mark.parametrize("seed", [1, 2])
def test_of_the_faults_each_class_and_each_pair_of_what_a_class_is_with_kind_and_times_is_drawn(seed: int) -> None:
    chosen = sample(TABLE, seed, covered)
    assert {each.asked for each in chosen} == set(CLASSES)
    for of in range(len(CLASSES[0])):
        together = {(each.asked[of], each.kind) for each in chosen}
        assert together == set(product({asked[of] for asked in CLASSES}, KINDS))
        assert {(each.asked[of], each.times) for each in chosen} == set(product({a[of] for a in CLASSES}, (1, None)))
    assert {(each.kind, each.times) for each in chosen} == set(product(KINDS, (1, None)))
    assert len(chosen) < len(TABLE) / 4


@pytest.mark.parametrize("seed", [1, 2])
def test_of_the_points_each_action_is_drawn_and_each_mark_and_stage_in_both_ways_and_stories(seed: int) -> None:
    chosen = sample(test_kill_points.TABLE, seed, test_kill_points.covered)
    table = test_kill_points.TABLE
    for one, other in combinations(range(5), 2):
        assert {_two(row, one, other) for row in chosen} == {_two(row, one, other) for row in table}
    assert len(chosen) < len(table) / 2


def _two(row: tuple[str, test_kill_points.Action, bool], one: int, other: int) -> tuple[Hashable, Hashable]:
    story, action, directory = row
    values: tuple[Hashable, ...] = (*action, story, directory)
    return values[one], values[other]
