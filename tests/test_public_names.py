"""The names that users write: none may vanish unnoticed."""

import unnoise

ASKED_FOR = [
    "Diffusion",
    "UNet",
    "MLP",
    "VP",
    "VE",
    "SubVP",
    "Cosine",
    "Rectified",
    "EDM",
    "Ancestral",
    "DDIM",
    "EulerMaruyama",
    "Heun",
    "DPMSolverPP",
    "DEIS",
    "UniPC",
    "Elbo",
    "Hybrid",
    "ExplicitScoreMatching",
    "ImplicitScoreMatching",
    "SlicedScoreMatching",
    "LikelihoodImportance",
    "explicit_score_matching",
    "implicit_score_matching",
    "sliced_score_matching",
    "FixedLarge",
    "LearnedRange",
    "elbo",
    "ItoSDE",
    "ScoreFunction",
    "Auto",
    "RK4",
    "DormandPrince",
    "Euler",
    "ReverseDiffusion",
    "Langevin",
    "LangevinPaper",
    "Corrected",
    "Churned",
    "annealed_langevin",
    "langevin",
    "Moments",
    "DDPMChain",
    "SMLDChain",
    "SDE",
    "Mixture",
    "Empirical",
    "Guided",
    "Noise",
    "Condition",
    "grid",
    "trajectory",
    "integrate",
    "log_prob",
    "bits_per_dim",
    "fit",
    "train",
    "load",
    "data",
    "register",
]


def test_every_public_name_is_there():
    for name in [*unnoise.__all__, *ASKED_FOR]:
        assert getattr(unnoise, name) is not None
        assert name in dir(unnoise)


def test_the_lists_agree():
    """One table says where a name lives, one what a star import takes; they must not drift."""
    assert {*unnoise._HOMES, "data"} == set(unnoise.__all__)


def test_papers_names_for_parameters():
    assert unnoise.VP(beta_min=0.1, beta_max=20.0) == unnoise.VP()
    assert unnoise.VE(sigma_min=0.01, sigma_max=50.0) == unnoise.VE()


def test_unknown_name_is_an_attribute_error():
    assert not hasattr(unnoise, "Difusion")
