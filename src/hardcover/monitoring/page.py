"""The loop's page: what needs doing, what answers cost, where inputs lie, window by window, and which wheel answered. It loads nothing, and needs no script."""

import base64
import html
import io
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from hardcover.monitoring import feed
from hardcover.monitoring.alerts import PAGE
from hardcover.reporting import pages

WIDTH, HEIGHT, LEFT = 1000, 240, 190
ROW = 14
# From nothing to everything elsewhere: red, green, blue.
PALE, RED = np.array([245, 246, 247]), np.array([179, 18, 59])
CSS = """
.todo { border-left: 4px solid var(--line); padding: .2rem 1rem; margin: 1rem 0 } .todo.page { border-color: var(--accent) } .todo p { margin: .3rem 0 }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft) } svg a rect:hover { fill: #0002 } tr:target { background: #fff3c4 } image { image-rendering: pixelated }
"""


def page(case: str, state: dict[str, Any], history: list[dict]) -> str:
    """Return the page of a case.

    Parameters
    ----------
    case, state
        The case, and the state after a pass, as `watch.begin` describes it.
    history
        How the champion changed, as `publish.history` returns it.
    """
    windows, usual = state["windows"], state.get("reference") or {}
    open_ones = [each for each in state["episodes"] if each["until"] is None]
    title = f"{case}: {len(open_ones)} to look at" if open_ones else f"{case}: nothing needs doing"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        *(_todo(each) for each in sorted(open_ones, key=lambda each: each["tier"])),
    ]
    if not windows:
        return pages.page(title, "\n".join([*parts, "<p>Nothing was served yet.</p>"]), CSS)
    rows = sum(window["rows"] for window in windows)
    parts.append(
        f"<p class='soft'>{rows:,} answers in {len(windows)} windows, {windows[0]['begin'][:16]} to {windows[-1]['begin'][:16]}; champion "
        f"<code>{html.escape(state['wheel'])}</code>, whose {usual.get('rows', 0):,} holdout rows cost {usual.get('loss', 0):.4g} each.</p>"
    )
    parts += ["<h2>What answers cost</h2>", _costs(windows, usual, state["episodes"]), _legend()]
    parts += [*_followed(state), "<h2>Where inputs lie</h2>", *_elsewhere(windows)]
    parts += [
        "<h2>What was decided</h2>",
        _decisions(state["decisions"]),
        "<h2>Champions</h2>",
        _history(history),
    ]
    parts += [
        "<h2>What was told</h2>",
        _episodes(state["episodes"]),
        "<h2>Windows</h2>",
        _windows(case, windows),
    ]
    return pages.page(title, "\n".join(parts), CSS)


def _todo(each: dict) -> str:
    loss = each["loss"]
    cost = (
        f"<p>Each row costs {loss['more']:+.4g} {html.escape(loss['unit'])} more than on the holdout ({loss['low']:+.4g} to {loss['high']:+.4g}).</p>"
        if loss
        else ""
    )
    why = "".join(f"<li>{html.escape(line)}</li>" for line in each["why"])
    return (
        f"<div class='todo {each['tier']}'><p><b class='{'bad' if each['tier'] == PAGE else ''}'>{html.escape(each['what'])}</b></p>{cost}<ul>{why}</ul>"
        f"<p class='soft'>{each['tier']} {each['id']}, {html.escape(each['test'])}, since {each['since'][:16]}, {each['rows']:,} rows, answered by {html.escape(each['wheel'])}</p>"
        f"<pre>{html.escape(each['next'])}</pre></div>"
    )


def _costs(windows: list[dict], usual: dict, episodes: list[dict]) -> str:
    """Draw expected and labelled losses by window, with their intervals."""
    known = [_labelled(window) for window in windows]
    tops = [window["expected"]["high"] for window in windows] + [each[2] for each in known if each]
    top = max(float(np.quantile(tops, 0.98)) * 1.1, usual.get("tolerated", 0.0) * 1.3, 1e-12)
    step = (WIDTH - LEFT) / len(windows)

    def x(number: float) -> float:
        return LEFT + (number + 0.5) * step

    def y(value: float) -> float:
        return HEIGHT - 20 - min(value, top) / top * (HEIGHT - 40)

    upper = [f"{x(n):.1f},{y(window['expected']['high']):.1f}" for n, window in enumerate(windows)]
    lower = [f"{x(n):.1f},{y(window['expected']['low']):.1f}" for n, window in enumerate(windows)]
    middle = [f"{x(n):.1f},{y(window['expected']['estimate']):.1f}" for n, window in enumerate(windows)]
    marks = [f"<polygon points='{' '.join(upper + lower[::-1])}' fill='#2f669022'/>"]
    marks.append(f"<polyline points='{' '.join(middle)}' fill='none' stroke='#2f6690' stroke-width='1.5'/>")
    for number, each in enumerate(known):
        if each:
            mean, low, high = map(y, each)
            marks.append(
                f"<path d='M{x(number):.1f} {low:.1f}V{high:.1f}' stroke='#8a939b'/><circle cx='{x(number):.1f}' cy='{mean:.1f}' r='2.2'/>"
            )
    begins = [window["begin"] for window in windows]
    for each in episodes:
        if each["tier"] == PAGE:
            first, last = _place(begins, each["since"]), _place(begins, each["until"] or begins[-1])
            marks.insert(
                0,
                f"<rect x='{x(first) - step / 2:.1f}' y='20' width='{(last - first + 1) * step:.1f}' height='{HEIGHT - 40}' fill='#b3123b18'/>",
            )
    for number in range(1, len(windows)):
        if windows[number]["wheel"] != windows[number - 1]["wheel"]:
            at = x(number) - step / 2
            name = windows[number]["wheel"].split("-")[1]
            marks.append(
                f"<path d='M{at:.1f} 14V{HEIGHT - 20}' stroke='#222' stroke-dasharray='2 3'/><text x='{at + 3:.1f}' y='12'>{html.escape(name)}</text>"
            )
    if usual:
        level = y(usual["tolerated"])
        marks.append(
            f"<path d='M{LEFT} {level:.1f}H{WIDTH}' stroke='#b3123b' stroke-dasharray='5 4'/><text x='4' y='{level + 4:.1f}'>tolerated {usual['tolerated']:.4g}</text>"
        )
    marks += [f"<text x='4' y='{y(value) + 4:.1f}'>{value:.3g}</text>" for value in (0.0, top)]
    marks += [
        f"<text x='{x(number):.1f}' y='{HEIGHT - 4}'>{begins[number][:10]}</text>"
        for number in _ticks(len(windows))
    ]
    return f"<div class='wide'><svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='loss a row by window'>{''.join(marks)}</svg></div>"


def _followed(state: dict) -> Iterable[str]:
    """Yield how sure answers were, and what a new model would have saved, where that is followed."""
    if known := state.get("coverage"):
        yield (
            f"<p>What came was within what answers said may come in {known['covered'] / known['rows']:.1%} of {known['rows']:,} labelled rows; {known['level']:.0%} is kept "
            f"by tables made at {min(known['asked'], 1):.1%}.</p>"
        )
    if known := state.get("fresh"):
        costs = state["conf"]["costs"]
        yield (
            f"<p>A new model would have saved {known['saved']:.4g} {html.escape(str(costs.get('unit', '')))} on {known['rows']:,} labelled rows since {known['since'][:16]}; "
            f"it costs {costs.get('retrain', 0):.4g}.</p>"
        )


def _legend() -> str:
    return (
        "<p class='soft'>Loss a row. Blue: expected by what scores meant on the holdout, with its 95 % interval. Black: by labels, with 95 % intervals. "
        "Red: what is tolerated, and when somebody was paged. Dotted: another champion.</p>"
    )


def _elsewhere(windows: list[dict]) -> Iterable[str]:
    """Draw how far inputs have moved, a row for each input and a column for each window; a column leads to its window."""
    worst: dict[str, float] = {}
    for window in windows:
        for name, shift in window["shifts"].items():
            worst[name] = max(worst.get(name, 0.0), shift)
    names = sorted(worst, key=lambda name: -worst[name])
    if not names:
        yield "<p>No input has moved by more than chance.</p>"
        return
    table = np.array([[window["shifts"].get(name, 0.0) for window in windows] for name in names])
    colors = PALE + (RED - PALE) * np.minimum(1.0, table * 2)[..., None]
    height, step = ROW * len(names), (WIDTH - LEFT) / len(windows)
    marks = [
        f"<image x='{LEFT}' y='0' width='{WIDTH - LEFT}' height='{height}' preserveAspectRatio='none' href='{_png(colors.round().astype(np.uint8))}'/>"
    ]
    marks += [
        f"<text x='4' y='{ROW * number + 11}'>{html.escape(name[:28])}</text>"
        for number, name in enumerate(names)
    ]
    marks += [
        f"<a href='#w{number}'><title>{window['begin'][:16]}</title><rect x='{LEFT + number * step:.1f}' y='0' width='{step:.1f}' height='{height}' fill='#0000'/></a>"
        for number, window in enumerate(windows)
    ]
    marks += [
        f"<text x='{LEFT + number * step:.1f}' y='{height + 13}'>{windows[number]['begin'][:10]}</text>"
        for number in _ticks(len(windows))
    ]
    yield f"<div class='wide'><svg viewBox='0 0 {WIDTH} {height + 18}' role='img' aria-label='inputs by window'>{''.join(marks)}</svg></div>"
    yield "<p class='soft'>The share of rows that lie elsewhere than the holdout's, beyond chance: white none, red half or more. A column leads to its window below.</p>"


def _png(colors: np.ndarray) -> str:
    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(colors, "RGB").quantize(32).save(held, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"


def _windows(case: str, windows: list[dict]) -> str:
    lines = []
    for number, window in enumerate(windows):
        known = _labelled(window)
        loss = f"{known[0]:.4g} ({known[1]:.4g} to {known[2]:.4g})" if known else ""
        slow = feed.slowest(window.get("took", {}))
        shifts = ", ".join(
            f"{html.escape(name)} {shift:.2f}" for name, shift in list(window["shifts"].items())[:3]
        )
        cells = [
            " ".join([window["begin"][:16], html.escape(window.get("event", ""))]),
            f"{window['rows']:,}",
            f"{window['expected']['estimate']:.4g}",
            loss,
            f"{window['labelled']['rows']:,}",
            shifts,
            "" if slow is None else f"{slow:.3g}",
        ]
        name = html.escape(window["wheel"].split("-")[1])
        lines.append(f"<tr id='w{number}'>{''.join(f'<td>{cell}</td>' for cell in [*cells, name])}</tr>")
    head = "".join(
        f"<th>{name}</th>"
        for name in (
            "from",
            "rows",
            "expected loss",
            "by labels",
            "labels",
            "elsewhere",
            "99 % within ms",
            "wheel",
        )
    )
    note = f"<p class='soft'><code>hardcover monitor {html.escape(case)}</code> says what moved the score of each window, <code>hardcover list</code> and <code>hardcover lineage</code> which run made a wheel.</p>"
    return f"{note}<div class='wide'><table><tr>{head}</tr>{''.join(lines)}</table></div>"


# Of decisions of which no outcome is kept.
OUTCOMES = {"train": "compared", "hold": "held back", "wait": "does not pay"}


def _decisions(decisions: list[dict]) -> str:
    if not decisions:
        return "<p>Nothing was to be decided.</p>"
    head = ["at", "what", "model", "outcome", "why"]
    rows = [
        [
            each["at"][:16],
            each["kind"],
            (each.get("challenger") or "-").split("-")[1],
            each.get("outcome") or OUTCOMES[each["kind"]],
            each.get("words") or each.get("why", ""),
        ]
        for each in reversed(decisions)
    ]
    return pages.table(head, [[html.escape(str(cell)) for cell in row] for row in rows])


def _history(history: list[dict]) -> str:
    rows = [[each["at"][:16], each["how"], each["wheel"], (each.get("run") or "")[:8]] for each in history]
    return pages.table(
        ["at", "by", "wheel", "run"], [[html.escape(str(cell)) for cell in row] for row in rows]
    )


def _episodes(episodes: list[dict]) -> str:
    if not episodes:
        return "<p>Nothing yet.</p>"
    rows = [
        [
            each["since"][:16],
            (each["until"] or "open")[:16],
            each["tier"],
            each["test"],
            each["what"],
            each["id"],
        ]
        for each in reversed(episodes)
    ]
    return pages.table(
        ["since", "until", "tier", "test", "what", "id"],
        [[html.escape(cell) for cell in row] for row in rows],
    )


def _labelled(window: dict) -> tuple[float, float, float] | None:
    """Return the mean loss by labels and its 95 % limits; None without labels."""
    known = window["labelled"]
    if not known["rows"]:
        return None
    mean = known["loss"] / known["rows"]
    error = 1.96 * math.sqrt(max(known["squares"] / known["rows"] - mean**2, 0.0) / known["rows"])
    return mean, max(0.0, mean - error), mean + error


def _ticks(count: int) -> list[int]:
    return sorted({round(number * (count - 1) / 5) for number in range(5)})


def _place(begins: list[str], moment: str) -> int:
    return max(0, int(np.searchsorted(begins, moment, side="right")) - 1)
