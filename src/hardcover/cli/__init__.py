"""The command ``hardcover``: one module a command, with its options."""

__all__: list[str] = []
