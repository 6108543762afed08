"""What answers cost and where inputs lie, window by window, as SVG."""

import base64
import html
import io
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from hardcover.monitoring.alerts import PAGE

WIDTH, HEIGHT, LEFT = 1000, 240, 190
# Of an input, and what the name of a champion takes.
ROW, NAME = 14, 110
# From nothing to everything elsewhere: red, green, blue.
PALE, RED = np.array([245, 246, 247]), np.array([179, 18, 59])


def losses(state: dict[str, Any]) -> str:
    """Draw expected and labelled losses by window, with their intervals, and what those cost whose labels are still to come."""
    windows, usual, episodes = state["windows"], state.get("reference") or {}, state["episodes"]
    to_come = [outlook(window, state) for window in windows]
    known = [labelled(window) for window in windows]
    tops = [window["expected"]["high"] for window in windows] + [
        each[2] for each in [*known, *to_come] if each
    ]
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
    for found, line, dot in ((to_come, "#7fb69a", "#1b7f4f"), (known, "#8a939b", "#000")):
        for number, each in enumerate(found):
            if each:
                mean, low, high = map(y, each)
                marks.append(
                    f"<path d='M{x(number):.1f} {low:.1f}V{high:.1f}' stroke='{line}'/><circle cx='{x(number):.1f}' cy='{mean:.1f}' r='2.2' fill='{dot}'/>"
                )
    begins = [window["begin"] for window in windows]
    for each in episodes:
        if each["tier"] == PAGE:
            first, last = _place(begins, each["since"]), _place(begins, each["until"] or begins[-1])
            marks.insert(
                0,
                f"<rect x='{x(first) - step / 2:.1f}' y='20' width='{(last - first + 1) * step:.1f}' height='{HEIGHT - 40}' fill='#b3123b18'/>",
            )
    free = 0.0
    for number in range(1, len(windows)):
        if windows[number]["wheel"] != windows[number - 1]["wheel"]:
            at = x(number) - step / 2
            name = html.escape(windows[number]["wheel"].split("-")[1])
            # Of champions that follow each other closely only the first has room for its name.
            told, free = (
                ("", free) if at < free else (f"<text x='{at + 3:.1f}' y='12'>{name}</text>", at + NAME)
            )
            marks.append(
                f"<g><title>{name}</title><path d='M{at:.1f} 14V{HEIGHT - 20}' stroke='#222' stroke-dasharray='2 3'/>{told}</g>"
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


def legend() -> str:
    """Return what the colors of `losses` stand for."""
    return (
        "<p class='soft'>Loss a row. Blue: expected by what scores meant on the holdout, with its 95 % interval. Black: by labels, with 95 % intervals. "
        "Green: of windows whose labels have not all come, by scores and by what labels showed of other windows. Red: what is tolerated, and when somebody was paged. Dotted: another champion.</p>"
    )


def inputs(windows: list[dict]) -> Iterable[str]:
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


def labelled(window: dict) -> tuple[float, float, float] | None:
    """Return the mean loss by labels and its 95 % limits; None without labels."""
    known = window["labelled"]
    if not known["rows"]:
        return None
    mean = known["loss"] / known["rows"]
    error = 1.96 * math.sqrt(max(known["squares"] / known["rows"] - mean**2, 0.0) / known["rows"])
    return mean, max(0.0, mean - error), mean + error


def outlook(window: dict, state: dict) -> tuple[float, float, float] | None:
    """Return what a window of the champion costs of whose labels some are still to come, and its 95 % limits; None of another."""
    found = state.get("outlook", {}).get(window["begin"])
    return (
        (found["estimate"], found["low"], found["high"])
        if found and window["wheel"] == state["wheel"]
        else None
    )


def _png(colors: np.ndarray) -> str:
    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(colors, "RGB").quantize(32).save(held, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"


def _ticks(count: int) -> list[int]:
    return sorted({round(number * (count - 1) / 5) for number in range(5)})


def _place(begins: list[str], moment: str) -> int:
    return max(0, int(np.searchsorted(begins, moment, side="right")) - 1)
