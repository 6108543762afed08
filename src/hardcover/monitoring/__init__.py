"""The loop after a release: what answers cost is watched, told, and mended by a new model that is proven better."""

from typing import TYPE_CHECKING

from hardcover import lazy

if TYPE_CHECKING:
    from hardcover.monitoring.alerts import levels
    from hardcover.monitoring.change import shifts
    from hardcover.monitoring.reference import Reference, champion
    from hardcover.runtime.profile import Profile

__all__ = ["Profile", "Reference", "champion", "levels", "shifts"]
__getattr__ = lazy.names_of(__name__)
