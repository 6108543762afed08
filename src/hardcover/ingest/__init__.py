"""From raw files to clean rows: the schema, units and column mappings, quarantine, and splits."""

from typing import TYPE_CHECKING

from hardcover import lazy

if TYPE_CHECKING:
    from hardcover.ingest.any_dialect import plain, read_any, without
    from hardcover.ingest.data import (
        create_pipeline,
        days,
        quarantine_rows,
        read_raw,
        report_rows,
        simulated,
        split_rows,
        unify_files,
    )
    from hardcover.ingest.quarantine import counts
    from hardcover.ingest.schema import (
        as_data,
        category,
        columns_with,
        flag,
        measured,
        moment,
        number,
        rule,
        text,
        to_json_schema,
    )
    from hardcover.ingest.units import UNITS

__all__ = [
    "UNITS",
    "as_data",
    "category",
    "columns_with",
    "counts",
    "create_pipeline",
    "days",
    "flag",
    "measured",
    "moment",
    "number",
    "plain",
    "quarantine_rows",
    "read_any",
    "read_raw",
    "report_rows",
    "rule",
    "simulated",
    "split_rows",
    "text",
    "to_json_schema",
    "unify_files",
    "without",
]
__getattr__ = lazy.names_of(__name__)
