"""Bind notebooks to pipelines, versions and wheels, and prove that they are the same thing.

What a notebook needs is here; everything else is in the module named for it. Names are imported when
first used, so that ``import hardcover`` costs nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "HardcoverError": "errors",
    "IncrementalRunner": "runner",
    "Stage": "stage",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    """Import the public name from its module at first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
