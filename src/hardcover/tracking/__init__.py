"""What MLflow is told, and the registry of models."""

__all__: list[str] = []
