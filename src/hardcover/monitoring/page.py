"""The loop's page: what needs doing, what answers cost, where inputs lie, window by window, and which wheel answered. It loads nothing, and needs no script."""

import html
from collections.abc import Iterable
from typing import Any

from hardcover.monitoring import chart, feed
from hardcover.monitoring.alerts import PAGE
from hardcover.reporting import pages

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
    parts += ["<h2>What answers cost</h2>", chart.losses(state), chart.legend()]
    parts += [*_followed(state), "<h2>Where inputs lie</h2>", *chart.inputs(windows)]
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


def _followed(state: dict) -> Iterable[str]:
    """Yield what the newest window costs, how sure answers were, and what a new model would have saved, where that is followed."""
    newest = state["windows"][-1]
    if found := chart.outlook(newest, state):
        yield (
            f"<p>Answers since {newest['begin'][:16]} cost {found[0]:.4g} each ({found[1]:.4g} to {found[2]:.4g}) by scores and by what labels showed of other "
            f"windows, {newest['expected']['estimate']:.4g} by scores alone; {newest['labelled']['rows']:,} of {newest['rows']:,} labels have come.</p>"
        )
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


def _windows(case: str, windows: list[dict]) -> str:
    lines = []
    for number, window in enumerate(windows):
        known = chart.labelled(window)
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
