"""Leaks that are inputs after all, each with its reason."""

from hardcover.errors import HardcoverError, UnknownName


def waived(schema: dict, waivers: dict[str, str]) -> dict:
    """Return the schema with some of its leaks as inputs.

    Parameters
    ----------
    waivers
        The leaks by name, each with the reason why it is known when the model is asked.

    Raises
    ------
    UnknownName
        When there is no such column.
    HardcoverError
        When it is no leak, has no reason, or is text without levels, which no model takes.
    """
    columns = dict(schema["columns"])
    for name, reason in waivers.items():
        where, facts = f"parameter waivers.{name}", columns.get(name)
        if facts is None:
            raise UnknownName("column", name, list(columns), where)
        if facts["role"] != "leak":
            raise HardcoverError(
                f"{name!r} is no leak but has the role {facts['role']!r}", where, "Remove the line."
            )
        if not str(reason or "").strip():
            raise HardcoverError(
                f"{name!r} is waived without a reason", where, "Say why it is known when the model is asked."
            )
        if facts["kind"] != "number" and "enum" not in facts:
            fix = "Describe it by ingest.category with its levels in the data notebook."
            raise HardcoverError(f"{name!r} is text, which is no input", where, fix)
        columns[name] = {**facts, "role": "input"}
    return {**schema, "columns": columns}
