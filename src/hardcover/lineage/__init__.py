"""Where versions came from: the state of the code, the records of runs, the graph of versions, and past runs made again."""

__all__: list[str] = []
