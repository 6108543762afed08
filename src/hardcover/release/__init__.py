"""The release: the inference wheel of a case, built, checked where nothing else is installed, and published."""

from typing import TYPE_CHECKING

from hardcover import lazy

if TYPE_CHECKING:
    from hardcover.release.stage import (
        build_wheel,
        check_wheel,
        create_pipeline,
        differing_bits,
        exported_features,
        golden_rows,
        package_name,
    )
    from hardcover.release.wheel_file import file_name

__all__ = [
    "build_wheel",
    "check_wheel",
    "create_pipeline",
    "differing_bits",
    "exported_features",
    "file_name",
    "golden_rows",
    "package_name",
]
__getattr__ = lazy.names_of(__name__)
