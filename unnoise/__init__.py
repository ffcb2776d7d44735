"""unnoise: generative modelling by turning data into noise and walking back.

A process turns data into noise. A denoiser says what it believes the clean data was. A solver
walks back one step at a time. An objective teaches the denoiser. All else wraps one of these.
"""

from importlib import import_module
from typing import Any

from unnoise.catalogue.renamed import old_names

# Module -> names: what is not asked for is not imported (`unnoise --help` needs no torch).
# Type checkers read the stub beside, __init__.pyi.
_NAMES = {
    "catalogue.registry": "register",
    "core.condition": "Condition",
    "core.distributions": "Categorical Normal",
    "core.errors": "InputError UnnoiseError",
    "spaces.display": "Display",
    "spaces.moments": "Moments",
    "core.noise": "Noise",
    "denoisers": """
        Autoguided ClassifierFree Empirical FixedLarge GuidanceInterval GuidanceRescale
        Guided LearnedRange MMPS Mixture NetworkDenoiser PiGDM Posterior ScoreFunction
    """,
    "evaluation": "Evaluation",
    "likelihood": "bits_per_dim elbo log_prob",
    "models": "Classifier Diffusion Measurement SampleRequest Sampling ScoreDiffusion load",
    "networks": "HalfUNet MLP MLPClassifier UNet",
    "objectives": """
        Elbo ExplicitScoreMatching Hybrid ImplicitScoreMatching LikelihoodImportance
        LogNormal PathScoreMatching Regression SlicedScoreMatching TimeUniform
        explicit_score_matching implicit_score_matching sliced_score_matching
    """,
    "operators": "Blur Downscale Grey LinearOperator Mask RandomRows",
    "processes": """
        Cosine DDPMChain EDM GaussianProcess ItoSDE Rectified SDE SMLDChain SubVP VE VP
    """,
    "system.progress": "progress",
    "tasks": "evaluate train",
    "tasks.sheet": "Sheet show",
    "solvers": """
        Ancestral Churned DDIM DEIS DPMSolverPP DPS DormandPrince Euler EulerMaruyama
        GaussianExponential Heun Langevin LangevinPaper PredictorCorrector RK4 Replacing
        ReverseDiffusion TDS UniPC annealed_langevin grid integrate langevin trajectory
    """,
    "training": "Training fit",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = ["data", *sorted(_HOMES)]  # pyright: ignore[reportUnsupportedDunderAll]

_old_name = old_names(
    __name__,
    {
        "Auto": "GaussianExponential",
        "Corrected": "PredictorCorrector",
        "Interval": "GuidanceInterval",
        "Rescaled": "GuidanceRescale",
        "Uniform": "TimeUniform",
    },
)


def __getattr__(name: str) -> Any:
    if name == "data":
        return import_module("unnoise.data")
    if name not in _HOMES:
        return _old_name(name)
    value = getattr(import_module(f"unnoise.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
