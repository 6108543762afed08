"""A released wheel, and the service that logs what it answers."""

from tests.serving.conftest import app, release, wheel

__all__ = ["app", "release", "wheel"]
