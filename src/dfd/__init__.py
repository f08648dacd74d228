"""Train, combine, test and serve detectors of deepfake face images."""

__version__ = "0.1.0"
