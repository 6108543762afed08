"""One straight function for the windows of a kind of entity, written out when a model is loaded.

``Track.answer`` works for any history. Where all events up to some place are visible and all behind it are not, which is nearly always, the
same is one line for each window.
"""

from bisect import bisect_right
from collections.abc import Callable
from math import nan
from typing import TYPE_CHECKING, Any

from .values import PLACED

if TYPE_CHECKING:
    from .track_layout import Layout

_WRITTEN = {"count", "total", "mean", "share"}
_HEAD = """
def answer(track, found, time, asked, own):
    times, columns = track.times, track.columns
"""
# What is not visible may only lie at the end; else the general way is taken.
_UNTIL = """
    until = bisect_right(times, time - {delay})
    visible, latest = track.{visible}, track.{visible}_by
    while until and visible[until - 1] >= asked:
        until -= 1
    if until and latest[until - 1] >= asked:
        return False
"""


def written(layout: "Layout") -> Callable[..., bool]:
    """Return a function of a settled track from which nothing was dropped: what ``Track.answer`` does, or False where it cannot.

    Windows of rows, and aggregates that look at each value, are left to the general functions.
    """
    lines: list[str] = [_HEAD]
    for number, needs in layout.columns.items():
        lines.append(f"    c{number} = columns[{number}]\n    n{number} = c{number}.counts\n")
        if "totals" in needs:
            lines.append(f"    t{number} = c{number}.totals\n")
        if "truths" in needs:
            lines.append(f"    r{number} = c{number}.truths\n")
    own = {
        window.column for *_, cuts in layout.asked for cut in cuts for window in cut.windows if window.itself
    }
    for number in sorted(each for each in own if each is not None):
        lines.append(
            f"    o{number} = own[{number}]\n    m{number} = int(o{number} is not None and o{number} == o{number})\n"
        )
        if "totals" in layout.columns[number]:
            lines.append(
                f"    w{number} = c{number}.whole(o{number}) if m{number} else 0\n    t{number} = c{number}.totals\n"
            )
    lines += [
        f"    u{number} = c{number}.unit\n" for number, needs in layout.columns.items() if "totals" in needs
    ]
    functions: dict[str, Any] = {"bisect_right": bisect_right, "nan": nan, "none": ()}
    for is_label, delay, cuts in layout.asked:
        lines.append(_UNTIL.format(delay=delay, visible="known" if is_label else "received"))
        for cut in cuts:
            if cut.span is not None:
                lines.append(f"    low = bisect_right(times, time - {delay + cut.span}, 0, until)\n")
            else:
                lines.append(
                    "    low = 0\n"
                    if cut.rows is None
                    else f"    low = until - {cut.rows} if until > {cut.rows} else 0\n"
                )
            for window in cut.windows:
                lines.append(_line(window, functions))
    lines.append("    return True\n")
    exec("".join(lines), functions)
    return functions["answer"]


def _line(window: Any, functions: dict[str, Any]) -> str:
    number, itself = window.column, window.itself
    into = f"    found[{window.slot}] = "
    if number is None and window.aggregate == "count":
        return f"{into}float(until - low{' + 1' if itself else ''})\n"
    more = f" + m{number}" if itself else ""
    size = f"    size = (until - low if n{number} is None else n{number}[until] - n{number}[low]){more}\n"
    if window.aggregate == "count":
        return f"{size}{into}float(size)\n"
    if window.aggregate == "total":
        extra = f" + w{number}" if itself else ""
        return f"{into}(t{number}[until] - t{number}[low]{extra}) / u{number}\n"
    if window.aggregate == "mean":
        extra = f" + w{number}" if itself else ""
        return (
            f"{size}{into}(t{number}[until] - t{number}[low]{extra}) / (size * u{number}) if size else nan\n"
        )
    if window.aggregate == "share":
        extra = f" + (m{number} and o{number} != 0)" if itself else ""
        return f"{size}{into}(r{number}[until] - r{number}[low]{extra}) / size if size else nan\n"
    name = f"f{window.slot}"
    if window.function is not None:
        functions[name] = window.function
        given = f"[o{number}] if m{number} else none" if itself else "none"
        return f"{into}{name}(c{number}, low, until, {given})\n"
    functions[name], functions[f"a{window.slot}"] = PLACED[window.aggregate], window
    column = "None" if number is None else f"c{number}"
    return f"{into}{name}(track, a{window.slot}, {column}, time, low, until, none, own)\n"
