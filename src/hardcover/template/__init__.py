"""Projects and cases written from a file: notebooks, configuration and tests as a data scientist would write them."""

__all__: list[str] = []
