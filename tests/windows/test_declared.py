"""A window says what it is, or is refused where it is declared."""

from datetime import timedelta

import pytest

from hardcover.runtime import window_plan, windows
from tests.windows.cases import COLUMNS

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: windows.count(by="card", over=timedelta(0)), "longer than nothing"),
        (lambda: windows.count(by="card", over=-DAY), "longer than nothing"),
        (lambda: windows.count(by="card", over=0), "longer than nothing"),
        (lambda: windows.count(by="card", over=-3), "longer than nothing"),
        (lambda: windows.count(by="card", over=7.0), "a timedelta, a number of rows, or None"),
        (lambda: windows.count(by="card", over=True), "a timedelta, a number of rows, or None"),
        (lambda: windows.count(by="card", over=DAY, delay=-DAY), "the future is not known"),
        (lambda: windows.mean("x", by="card", over=DAY, delay=DAY, itself=True), "cannot have the row in it"),
        (lambda: windows.count(by="", over=DAY), "name the column of the entity"),
        (lambda: windows.count(by=(), over=DAY), "name the column of the entity"),
        (lambda: windows.recent("x", by="card", rows=DAY), "a number of rows"),
    ],
)
def test_a_window_that_cannot_be_is_refused(declare, said):
    with pytest.raises(ValueError, match=said):
        declare()


@pytest.mark.parametrize(
    ("declared", "features", "said"),
    [
        ({"w": windows.mean("z", by="card", over=DAY)}, {}, "needs 'z', which is no column"),
        ({"w": windows.mean("x", by="cards", over=DAY)}, {}, "did you mean 'card'"),
        ({"w": windows.mean("x", by="at", over=DAY)}, {}, "a time, not an entity"),
        ({"w": windows.mean("at", by="card", over=DAY)}, {}, "takes the mean of 'at', a time"),
        ({"w": windows.mean("shop", by="card", over=DAY)}, {}, "takes the mean of 'shop', a text"),
        ({"x": windows.count(by="card", over=DAY)}, {}, "the name of a column or a feature"),
        ({"w": windows.count(by="card", over=DAY)}, {"w": ["x"]}, "the name of a column or a feature"),
        ({"w": windows.mean("v", by="card", over=DAY), "v": windows.count(by="card", over=DAY)}, {}, "looks at the window 'v'"),
        ({"w": windows.mean("f", by="card", over=DAY)}, {"f": ["g"], "g": ["w"]}, "needs the window 'w'"),
        ({"w": windows.recent("x", by="card", rows=3)}, {}, "name it _w"),
        ({"w": windows.share("y", by="card", over=DAY, itself=True)}, {}, "which is not known yet"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_the_schema_is_refused_and_named(declared, features, said):
    with pytest.raises(window_plan.UnresolvedWindow, match=said):
        window_plan.resolve(declared, COLUMNS, features)


@pytest.mark.parametrize(
    ("missing", "said"), [("at", "has the role 'time'"), ("known", "nothing says when that was known")]
)
def test_a_schema_must_say_when_things_were_and_when_they_were_known(missing, said):
    columns = {name: facts for name, facts in COLUMNS.items() if name != missing}
    with pytest.raises(window_plan.UnresolvedWindow, match=said):
        window_plan.resolve({"w": windows.share("y", by="card", over=DAY)}, columns, {})


def test_a_window_says_in_words_what_it_is():
    week = windows.share("fraud", by=("card", "shop"), over=7 * DAY, delay=DAY)
    assert str(week) == "share of fraud by card, shop, over 7 days, 0:00:00, delayed by 1 day, 0:00:00"
    assert str(windows.recent("x", by="card", rows=3)) == "recent of x by card, over the last 3 rows"
    assert str(windows.since(by="card")) == "since by card, over all the past"
