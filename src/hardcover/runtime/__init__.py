"""What travels inside a wheel: validation, features and the model, on the standard library and numpy alone.

This folder is copied unchanged into every release, so its imports are relative and reach nothing above it.
"""

from .confidence import Calibration, Confidence, NotCalibrated
from .model import Model
from .prediction import Contribution, Prediction
from .profile import Bins, NotProfiled, Profile
from .records import InvalidRecord

__all__ = [
    "Bins",
    "Calibration",
    "Confidence",
    "Contribution",
    "InvalidRecord",
    "Model",
    "NotCalibrated",
    "NotProfiled",
    "Prediction",
    "Profile",
]
