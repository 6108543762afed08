"""Offer the names of datasets when a data scientist presses Tab inside ``stage.load('``."""

import re

from hardcover.notebooks import front_end

CALL = re.compile(r"(\w+)\.load\(\s*[\"']([\w.]*)$")


def offer(kind: type) -> None:
    """Complete datasets' names of instances of ``kind``, which has ``datasets()``; outside IPython, do nothing.

    By a custom matcher (https://ipython.readthedocs.io/en/stable/api/generated/IPython.core.completer.html).
    """
    ipython = front_end.shell()
    completer = getattr(ipython, "Completer", None)
    if completer is None or any(matcher.__name__ == "dataset_names" for matcher in completer.custom_matchers):
        return
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher()
    def dataset_names(context) -> dict:
        found = CALL.search(context.text_until_cursor)
        value = ipython.user_ns.get(found[1]) if found else None
        names = value.datasets() if isinstance(value, kind) else ()
        matching = [
            SimpleCompletion(name, type="dataset") for name in names if found and name.startswith(found[2])
        ]
        fragment = {"matched_fragment": found[2], "suppress": True} if matching else {}
        return {"completions": matching, **fragment}

    completer.custom_matchers.append(dataset_names)
