"""Pictures of how good scores are. A sentence under each tells how to read it."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix, precision_recall_curve

from hardcover.reporting import pictures
from hardcover.tasks.base import Names


@pictures.styled
def precision_recall(target: np.ndarray, score: np.ndarray, threshold: float, names: Names) -> Figure:
    """Draw precision against recall, with the point that the threshold chooses."""
    precision, recall, thresholds = precision_recall_curve(target, score)
    chosen = np.searchsorted(thresholds, threshold).clip(max=len(thresholds) - 1)
    figure, axis = plt.subplots(figsize=(4.5, 4.5))
    axis.step(recall, precision, where="post", color=pictures.INK)
    axis.plot(
        recall[chosen], precision[chosen], "o", color=pictures.ACCENT, label=f"threshold {threshold:.3f}"
    )
    axis.set(
        xlabel="recall: share of positives that are caught",
        ylabel="precision: share of alarms that are right",
    )
    axis.set(title="Precision and recall", xlim=(0, 1.02), ylim=(0, 1.02))
    axis.legend()
    sentence = f"Each point of the line is a threshold on the {names.part} rows; the dot is the one in use."
    return pictures.caption(figure, sentence)


@pictures.styled
def calibration(
    target: np.ndarray, score: np.ndarray, names: Names, what: str | None = None, bins: int = 12
) -> Figure:
    """Draw the share of positives against the mean score, in bins that halve in size towards high scores."""
    order = np.argsort(score)
    # Where positives are rare most scores are tiny; halving bins give the interesting right end its own points.
    edges = np.unique(len(order) - (len(order) / 2.0 ** np.arange(bins)).astype(int))
    groups = [group for group in np.split(order, edges[1:]) if len(group) >= 5]
    means = np.array([(score[group].mean(), target[group].mean()) for group in groups]).reshape(-1, 2)
    figure, axis = plt.subplots(figsize=(4.5, 4.5))
    axis.plot([1e-4, 1], [1e-4, 1], color=pictures.FAINT)
    axis.loglog(*np.clip(means.T, 1e-4, 1), "o-", color=pictures.ACCENT)
    axis.set(
        xlabel="mean score (probability)", ylabel=what or f"share of {names.target}", title="Calibration"
    )
    sentence = (
        f"Each dot is a bin of {names.part} rows. On the diagonal, it happens as often as the score says; both axes are "
        "logarithmic."
    )
    return pictures.caption(figure, sentence)


@pictures.styled
def costs(cost: Callable[[float], float], threshold: float, unit: str, names: Names) -> Figure:
    """Draw the mean cost of every threshold, and the one that was derived."""
    candidates = np.geomspace(1e-4, 1, 200)
    figure, axis = plt.subplots(figsize=(7, 3))
    axis.semilogx(candidates, [cost(candidate) for candidate in candidates], color=pictures.INK)
    axis.axvline(threshold, color=pictures.ACCENT, label=f"from the costs: {threshold:.3f}")
    axis.axvline(0.5, color=pictures.FAINT, linestyle=":", label="0.5")
    axis.set(xlabel="threshold (probability)", ylabel=f"mean cost, {unit} a row", title="Cost by threshold")
    axis.legend()
    sentence = f"The cost of an alarm from each threshold on, on the {names.part} rows. The red line follows from the costs alone."
    return pictures.caption(figure, sentence)


@pictures.styled
def confusion(target: np.ndarray, label: np.ndarray, names: Names) -> Figure:
    """Draw how often each class gets each label, as shares of the class."""
    every = np.arange(len(names.classes))
    shares = confusion_matrix(target, label, labels=every, normalize="true")
    side = 2.5 + 0.5 * len(every)
    figure, axis = plt.subplots(figsize=(side, side))
    axis.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    for row, column in np.ndindex(shares.shape):
        color = "white" if shares[row, column] > 0.5 else pictures.INK
        axis.text(
            column, row, f"{shares[row, column]:.2f}", ha="center", va="center", color=color, fontsize=8
        )
    axis.set_xticks(every, names.classes, rotation=45, ha="right")
    axis.set_yticks(every, names.classes)
    axis.set(xlabel="label", ylabel="class", title="Which classes are taken for which")
    return pictures.caption(
        figure,
        f"Each row is a class of {names.part} rows and adds up to 1; right labels are on the diagonal.",
    )


@pictures.styled
def truth(target: np.ndarray, score: np.ndarray, names: Names) -> Figure:
    """Draw truth against score."""
    figure, axis = plt.subplots(figsize=(4.5, 4.5))
    low, high = min(target.min(), score.min()), max(target.max(), score.max())
    axis.plot([low, high], [low, high], color=pictures.FAINT)
    axis.plot(score, target, ".", color=pictures.ACCENT, alpha=min(1.0, 200 / len(score) + 0.1))
    axis.set(xlabel=f"score: expected {names.target}", ylabel=names.target, title="Truth and score")
    return pictures.caption(
        figure, f"Each dot is a row of the {names.part}. On the line, the score is right."
    )


@pictures.styled
def residuals(target: np.ndarray, score: np.ndarray, names: Names) -> Figure:
    """Draw what is left over: truth minus score, by score."""
    figure, axis = plt.subplots(figsize=(7, 3))
    axis.axhline(0, color=pictures.FAINT)
    axis.plot(score, target - score, ".", color=pictures.SECOND, alpha=min(1.0, 200 / len(score) + 0.1))
    order = np.argsort(score, kind="stable")
    groups = [group for group in np.array_split(order, min(20, max(1, len(order) // 20))) if len(group)]
    centers = [(score[group].mean(), (target[group] - score[group]).mean()) for group in groups]
    axis.plot(*np.array(centers).T, "o-", color=pictures.ACCENT, label="mean of a bin")
    axis.set(xlabel=f"score: expected {names.target}", ylabel="truth minus score", title="Residuals")
    axis.legend()
    sentence = f"Each dot is a row of the {names.part}. Where the red line leaves zero, the score is biased."
    return pictures.caption(figure, sentence)


@pictures.styled
def deciles(target: np.ndarray, score: np.ndarray, names: Names) -> Figure:
    """Draw the mean truth against the mean score, in tenths of the rows."""
    groups = [group for group in np.array_split(np.argsort(score, kind="stable"), 10) if len(group)]
    means = np.array([(score[group].mean(), target[group].mean()) for group in groups])
    figure, axis = plt.subplots(figsize=(4.5, 4.5))
    top = means.max() * 1.05
    axis.plot([0, top], [0, top], color=pictures.FAINT)
    axis.plot(*means.T, "o-", color=pictures.ACCENT)
    axis.set(xlabel="mean score", ylabel=f"mean {names.target}", title="Calibration by tenths")
    sentence = f"Each dot is a tenth of the {names.part} rows, by score. On the line, counts are as the scores expect."
    return pictures.caption(figure, sentence)


@pictures.styled
def lines(places: list[int], values: dict[str, list[float]], names: Names) -> Figure:
    """Draw the gain of the first places."""
    figure, axis = plt.subplots(figsize=(7, 3))
    for color, (name, found) in zip((pictures.ACCENT, pictures.FAINT), values.items(), strict=True):
        axis.plot(places, found, "o-", color=color, label=name)
    axis.set(xlabel="first places", ylabel="NDCG", title="Gain of the first places", ylim=(0, 1.02))
    axis.legend()
    return pictures.caption(
        figure, f"1 is the best order of a query's rows; a mean over the queries of the {names.part}."
    )


@pictures.styled
def by_level(target: np.ndarray, score: np.ndarray, names: Names) -> Figure:
    """Draw the scores of each relevance."""
    levels = np.unique(target)
    figure, axis = plt.subplots(figsize=(7, 3))
    axis.boxplot([score[target == level] for level in levels], tick_labels=[f"{level:g}" for level in levels])
    axis.set(xlabel=names.target, ylabel="score", title="Scores by relevance")
    return pictures.caption(
        figure, f"A box holds the middle half of the {names.part} rows of a relevance; boxes should rise."
    )
