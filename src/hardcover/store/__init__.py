"""Versions of datasets on disk: whole or not there, whatever dies; and the catalog that reads and writes them."""

__all__: list[str] = []
