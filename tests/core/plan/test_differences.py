"""The change of one object, as lines for people."""

from rollback_lib.core.plan import differences

CONFIG = {"kind": "ConfigMap", "metadata": {"name": "limits"}, "data": {"limit": "10"}}


def test_what_is_made_shows_what_it_holds_and_not_what_stands_above_it() -> None:
    assert differences.lines(None, CONFIG) == ('+ data: {"limit":"10"}',)


def test_what_changes_is_shown_value_by_value() -> None:
    after = {**CONFIG, "data": {"limit": "20", "more": "yes"}}
    assert differences.lines(CONFIG, after) == ("~ data.limit: 10 → 20", "+ data.more: yes")
    assert differences.lines(after, CONFIG) == ("~ data.limit: 20 → 10", "- data.more: yes")


def test_more_than_a_person_reads_is_counted() -> None:
    after = {**CONFIG, "data": {str(n): "x" for n in range(50)} | {"limit": "10"}}
    *shown, last = differences.lines(CONFIG, after)
    assert (len(shown), last) == (40, "… and 10 more")
