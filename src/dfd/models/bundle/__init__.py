"""The bundle: a folder that is a whole detector, one network or an ensemble of bundles. No pickle.

bundle.yaml          what it is, how to use it, what it was made from; its last line is a checksum of the others
config.yaml          the resolved configuration of the run that made it
seen.txt             which images it was trained or tuned on, so that no test counts them
model.safetensors    a detector's weights
combiner.*           how an ensemble's members are combined; see `dfd.ensemble.storage`
members/0, 1, …      an ensemble's members, bundles themselves

bundle.yaml holds the sha256 of every other file of its folder, and of its members' bundle.yaml.
"""

from dfd.models.bundle.card import FILE, MEMBERS, WEIGHTS, name_of, read_card
from dfd.models.bundle.finding import find
from dfd.models.bundle.kinds import Bundle, DetectorBundle, EnsembleBundle, seen_in, versions
from dfd.models.bundle.loading import load
from dfd.models.bundle.saving import save

__all__ = [
    "FILE",
    "MEMBERS",
    "WEIGHTS",
    "Bundle",
    "DetectorBundle",
    "EnsembleBundle",
    "find",
    "load",
    "name_of",
    "read_card",
    "save",
    "seen_in",
    "versions",
]
