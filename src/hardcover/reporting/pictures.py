"""One look for all pictures, shap's included: colours, fonts, and a sentence under each that tells how to read it."""

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

# What a picture is about, what it is compared with, and everything that only helps to read.
ACCENT, SECOND, INK, FAINT = "#b3123b", "#2f6690", "#333333", "#c8ccd0"
LOW_TO_HIGH = LinearSegmentedColormap.from_list("low_to_high", [SECOND, "#b9b4bd", ACCENT])
# Inches around what is drawn, as matplotlib has it by itself.
PADDING = 0.1
STYLE = {
    "axes.prop_cycle": cycler(color=[ACCENT, SECOND, INK, "#8a9199"]),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a9199",
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlepad": 10,
    "font.size": 10,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.dpi": 100,
}


def use() -> None:
    """Draw a notebook's own pictures in this look."""
    plt.style.use(STYLE)


@contextmanager
def shap_colors() -> Iterator[None]:
    """Draw shap's bars and waterfalls in our colours."""
    # Looking for shap.plots, as planning does, would import shap.
    import shap

    colors = {"primary_color_positive": ACCENT, "primary_color_negative": SECOND}
    colors |= {"secondary_color_positive": "#e3a5b4", "secondary_color_negative": "#a9c4d8"}
    with shap.plots._style.style_context(**colors, tick_labels_color="#5c6670"):
        yield


def styled(draw: Callable) -> Callable:
    """Let a function that draws do so in this look and no other, and close its figures, so that a notebook shows them once."""

    @wraps(draw)
    def drawn(*arguments: Any, **options: Any) -> Any:
        with plt.style.context(STYLE, after_reset=True):
            made = draw(*arguments, **options)
        for figure in made if isinstance(made, tuple) else (made,):
            plt.close(figure)
        return made

    return drawn


def caption(figure: Figure, sentence: str) -> Figure:
    """Write under a figure how to read it; the sentence travels with the picture wherever it is shown."""
    # What is drawn may reach beyond the figure; the sentence begins below all of it. Boxes are in inches.
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    text = textwrap.fill(sentence, int(drawn.width * 15))
    place = (drawn.x0 / width, (drawn.y0 - 0.12) / height)
    written = figure.text(*place, text, fontsize=9, color="#5c6670", va="top", ha="left")
    extent = written.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
    _save_with(figure, Bbox.union([drawn, extent]).padded(PADDING))
    return figure


def _save_with(figure: Figure, box: Bbox) -> None:
    """Save a figure within a box that is known, where by itself matplotlib would lay all of it out twice more to find that."""

    def savefig(*arguments: Any, bbox_inches: Any = None, **options: Any) -> None:
        Figure.savefig(
            figure, *arguments, bbox_inches=box if bbox_inches == "tight" else bbox_inches, **options
        )

    figure.savefig = savefig  # type: ignore[method-assign]
