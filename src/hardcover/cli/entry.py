"""Where the process of a command starts and ends; Ctrl-C stops it silently there, for nothing is under way."""

import signal


def main() -> int:
    """Run the command that was typed; return its exit code, as `hardcover.cli.main.main` does."""
    # Python's own handler would show the traceback of whatever import Ctrl-C falls into.
    handler = signal.getsignal(signal.SIGINT)
    silent = signal.SIG_DFL if handler is signal.default_int_handler else handler
    signal.signal(signal.SIGINT, silent)
    from hardcover.cli import main

    options = main.parser().parse_args()
    try:
        signal.signal(signal.SIGINT, handler)
        return main.perform(options)
    except KeyboardInterrupt:
        return 1
    finally:
        signal.signal(signal.SIGINT, silent)
