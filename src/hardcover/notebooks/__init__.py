"""Notebooks executed headlessly: warm kernels, executed copies, reports."""

__all__: list[str] = []
