"""LightGBM's text model: parsed, checked, rounded, laid out as flat arrays; and rows at its edges."""

from typing import TYPE_CHECKING

from hardcover import lazy

if TYPE_CHECKING:
    from hardcover.forest import edge_rows, flatten, lightgbm_text

__all__ = ["edge_rows", "flatten", "lightgbm_text"]
__getattr__ = lazy.names_of(__name__)
