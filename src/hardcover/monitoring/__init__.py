"""The loop after a release: what answers cost is watched, told, and mended by a new model that is proven better."""

__all__: list[str] = []
