"""What other libraries print, where no user could act on it, and how our own errors are shown under `kedro run`."""

import logging
import sys
import warnings

from hardcover.errors import HardcoverError


def silence_others() -> None:
    """Silence warnings and tracebacks of Kedro and kedro-mlflow that a user of a project could not act on."""
    # Kedro 1.7 calls a deprecated function of omegaconf 2.4;
    # and kedro-mlflow's model class, when first imported, warns past any filter, since MLflow puts its own in front.
    warnings.filterwarnings("ignore", message="register_new_resolver", category=UserWarning)
    show = warnings.showwarning

    def show_others(message, *arguments, **options):
        if "Add type hints to the `predict` method" not in str(message):
            show(message, *arguments, **options)

    if getattr(show, "__module__", "") != __name__:
        warnings.showwarning = show_others
    # When a node fails, Kedro logs what the exception says anyway, and advises to resume from datasets that
    # were discarded.
    for name in ("kedro.pipeline.node", "kedro.runner.sequential_runner", "kedro.runner.thread_runner"):
        logging.getLogger(name).addFilter(_is_progress)


def _is_progress(record: logging.LogRecord) -> bool:
    return record.levelno < logging.WARNING


def print_own_errors_plainly() -> None:
    """Print this library's errors as one line, not as a traceback."""
    previous = sys.excepthook

    def show(kind, error, traceback):
        # Kedro names the pipeline and the closest one that exists, but as a crash.
        if isinstance(error, HardcoverError) or str(error).startswith("Failed to find the pipeline named"):
            print(f"error: {error}", file=sys.stderr)  # noqa: T201
        else:
            previous(kind, error, traceback)

    if getattr(previous, "__module__", "") != __name__:
        sys.excepthook = show
