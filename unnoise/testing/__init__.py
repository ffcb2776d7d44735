"""Contract tests for plug-ins (process, solver, network, ...); `pytest` runs them as they are.

::

    from unnoise.testing import ProcessContract

    class TestMine(ProcessContract):
        make = Mine

Every method whose name begins with ``test_`` is one law. ``make`` is a class, or a function or
method without arguments that returns the object under test.
"""

from unnoise.testing.dataset import DatasetContract
from unnoise.testing.denoiser import DenoiserContract
from unnoise.testing.gaussian import Counted, GaussianBelief, affine_walk
from unnoise.testing.head import HeadContract
from unnoise.testing.metric import MetricContract
from unnoise.testing.network import ClassifierContract, NetworkContract
from unnoise.testing.objective import ObjectiveContract
from unnoise.testing.operator import OperatorContract
from unnoise.testing.process import ProcessContract
from unnoise.testing.solver import SolverContract

__all__ = [
    "ClassifierContract",
    "Counted",
    "DatasetContract",
    "DenoiserContract",
    "GaussianBelief",
    "HeadContract",
    "MetricContract",
    "NetworkContract",
    "ObjectiveContract",
    "OperatorContract",
    "ProcessContract",
    "SolverContract",
    "affine_walk",
]
