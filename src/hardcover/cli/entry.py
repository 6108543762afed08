"""Where the process of a command starts and ends; Ctrl-C stops it silently there, for nothing is under way."""

import signal


def main() -> int:
    """Run the command that was typed; return its exit code, as `hardcover.cli.main.main` does."""
    # Python's own handler would show the traceback of whatever import Ctrl-C falls into.
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from hardcover.cli import main

    options = main.parser().parse_args()
    try:
        signal.signal(signal.SIGINT, handler)
        return main.perform(options)
    except KeyboardInterrupt:
        return 1
    finally:
        if handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
