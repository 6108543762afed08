"""Proofs: every face of a case answers the same rows, and the answers are compared by bits."""

__all__: list[str] = []
