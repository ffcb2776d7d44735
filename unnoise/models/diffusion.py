"""A diffusion model: a network, a process, and what it is taught, as one thing to use."""

import math
from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any, final

import torch
from torch import Tensor

from unnoise.catalogue.ranges import LAST_SAMPLE, MOST, whole
from unnoise.catalogue.registry import member, register
from unnoise.core.condition import Condition
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError, NumbersError, short
from unnoise.core.noise import Noise, check_seed
from unnoise.data import DataInfo
from unnoise.denoisers import (
    Constant,
    FixedSmall,
    Guidance,
    Head,
    NetworkDenoiser,
    Variance,
)
from unnoise.likelihood.given import check_data
from unnoise.models.base import Phase
from unnoise.models.conditions import Labels, conditions
from unnoise.models.files import save
from unnoise.models.guides import guide_of
from unnoise.models.measurement import Measurement
from unnoise.models.ode_model import OdeModel
from unnoise.models.sampling import Sampling
from unnoise.networks import Network, null_condition
from unnoise.objectives import Loss, Objective, Regression
from unnoise.processes import VP, GaussianProcess
from unnoise.solvers import Ancestral, Grid, Solver, Step, trajectory
from unnoise.solvers import grid as make_grid

_TOGETHER = 2**26  # numbers of all samples of a chunk


@register("model", "diffusion")
@final
class Diffusion(OdeModel):
    """A network that learns to denoise, and everything that follows from it.

    Arguments:
        network: e.g. ``UNet(shape=(1, 8, 8), classes=10)``.
        process: how data becomes noise.
        head: what the network predicts: "v", "eps", "x0", "flow", "edm", or a Head.
        objective: what it is taught.
        variance: how sure its beliefs are.

    Raises:
        InputError: the process is no schedule, or the head cannot work under it.
    """

    def __init__(
        self,
        network: Network,
        process: GaussianProcess | str = VP(),
        head: Head | str = "v",
        objective: Objective | str = Regression(),
        variance: Variance | str = FixedSmall(),
    ) -> None:
        super().__init__()
        self.denoiser = NetworkDenoiser(
            member(Network, network),
            member(GaussianProcess, process),
            member(Head, head),
            member(Variance, variance),
        )
        self._objective: Objective = member(Objective, objective)
        self.reads, self.guided = self.network.reads, self.network.guided
        self.sampling = Sampling()
        self.info: DataInfo | None = None
        self.recipe: dict[str, Any] = {}

    @property
    def network(self) -> Network:
        return self.denoiser.network

    @property
    def process(self) -> GaussianProcess:
        return self.denoiser.process

    @property
    def objective(self) -> Objective:
        """What it is taught; fixed, like the network, because the file tells how it was made."""
        return self._objective

    @property
    def shape(self) -> tuple[int, ...]:
        """Event shape."""
        return self.network.shape

    @property
    def classes(self) -> int | None:
        """Number of labels; None where the network reads none."""
        return self.network.classes

    # -- training -------------------------------------------------------------------------------

    def loss(self, x0: Tensor, cond: Condition | None, noise: Noise) -> Loss:
        """The objective's loss on modelled values ``x0``, shape (B, *event)."""
        return self.objective(self.denoiser, x0, cond, noise)

    def phases(self) -> list[Phase]:
        return [Phase("diffusion", self.denoiser, self.loss)]

    # -- sampling -------------------------------------------------------------------------------

    def sample(
        self,
        n: int,
        cond: Condition | None = None,
        *,
        seed: int = 0,
        label: Labels = None,
        guidance: Guidance | float | None = None,
        solver: Solver | str | None = None,
        steps: int | None = None,
        grid: Grid | str | Sequence[float] | None = None,
        first: int = 0,
        exact: bool = True,
        given: Measurement | None = None,
        near: tuple[Tensor, float] | None = None,
        guide: Any = None,
    ) -> Tensor:
        """Draw samples. Sample k of a seed is the same whatever ``n`` and ``first`` are.

        Arguments:
            n: how many.
            cond: conditions, one row for each; ``label`` is short for Condition(label=...).
            seed: any integer.
            label: one class for all, or one for each; None takes the classes in turn by sample
                number. Meaningless for a model without labels.
            guidance: how strongly to lean towards the condition: a scale (1 plain conditional, 0
                unconditional), or ``GuidanceInterval``, ``GuidanceRescale``.
            solver, steps, grid: as in ``trajectory`` and ``grid``; None takes the model's own.
            first: number of the first sample: ``sample(1, first=17)`` is row 17 of ``sample(64)``.
            exact: compute in padded chunks of one size, so that the bits do not depend on ``n``;
                False uses one batch: the same noise, equal up to rounding.
            given: what is known of the samples. Without a label the model is then asked
                unconditionally, and without a solver it walks by ``Ancestral()``.
            near: ``(x, strength)``: samples begin as noised ``x``, shape (n, *event), and not as
                noise; see ``vary``.
            guide: what to lean by: None is the model itself without its condition
                (classifier-free); a ``Classifier`` of noisy events, for models with labels or
                without, which is asked for ``label`` while the model is asked unconditionally; a
                weaker model (autoguidance); or a function ``log_prob(x, t, cond)``, shape (n,).

        Returns:
            Modelled values, shape (n, *event), float32; ``model.info.to_bytes`` makes pictures.

        Raises:
            InputError: before the first network call, when an argument cannot be used.
        """
        parts, _, threads = self._begin(
            n,
            cond,
            seed=seed,
            label=label,
            guidance=guidance,
            solver=solver,
            steps=steps,
            grid=grid,
            first=first,
            exact=exact,
            given=given,
            near=near,
            guide=guide,
        )
        found: list[Tensor] = []
        with self.still(threads):
            # One chunk after another, so that only one is in memory with its walk.
            for part in parts:
                *_, last = part
                found.append(last.x)
        x = torch.cat(found)[:n]
        if not bool(torch.isfinite(x).all()):
            raise NumbersError(
                "the samples hold NaN or infinite numbers: the weights or the guidance are too "
                "large."
            )
        return x

    def walk(self, n: int, cond: Condition | None = None, **how: Any) -> Iterator[Step]:
        """The steps that ``sample`` takes, for films and progress; arguments as there.

        Yields:
            Step(index, t, s, x, belief) for all ``n`` samples; the belief is its mean, a point.
        """
        parts, count, threads = self._begin(n, cond, **how)
        for _ in range(count):
            # Between two steps grad mode and thread count are the caller's again.
            with self.still(threads):
                moved = [next(part) for part in parts]
            beliefs = [step.belief.mean for step in moved if step.belief is not None]
            yield Step(
                moved[0].index,
                moved[0].t,
                moved[0].s,
                torch.cat([step.x for step in moved])[:n],
                Normal(torch.cat(beliefs)[:n]) if beliefs else None,
            )

    def _begin(
        self,
        n: int,
        cond: Condition | None = None,
        *,
        seed: int = 0,
        label: Labels = None,
        guidance: Guidance | float | None = None,
        solver: Solver | str | None = None,
        steps: int | None = None,
        grid: Grid | str | Sequence[float] | None = None,
        first: int = 0,
        exact: bool = True,
        given: Measurement | None = None,
        near: tuple[Tensor, float] | None = None,
        guide: Any = None,
    ) -> tuple[list[Iterator[Step]], int, int | None]:
        """Check everything; the walk of each chunk, its number of steps, and the threads to use."""
        n = whole(n, "n", 1, MOST, " of samples")
        first = whole(first, "first", 0, LAST_SAMPLE)
        check_seed(seed)
        if given is not None and not isinstance(given, Measurement):
            raise InputError(f"given = {short(given)}: give a Measurement(operator, value).")
        how = self.sampling
        if near is not None and not (isinstance(near, tuple) and len(near) == 2):
            raise InputError(f"near = {short(near)}: give a pair, (data, strength).")
        if exact:
            self._check_chunk(how.chunk)
        # A measurement pulls at every belief; the noise of ancestral steps forgives its errors.
        default = how.solver if given is None else Ancestral()
        used: Solver = member(Solver, default if solver is None else solver)
        lead = guide_of(guide)
        lead.check(self)
        asked = None if guidance is None else member(Guidance, guidance)
        free = cond is None and label is None and not lead.needs_label
        if (given is not None or near is not None) and free:
            if guide is None and guidance is not None:
                raise InputError(f"guidance = {short(guidance)}: towards what? Give a label.")
            cond = null_condition(self.network, n)
            asked = Constant(0.0) if guide is None else asked
        else:
            cond = conditions(self.network, n, cond, label, first, lead.classes(self))
        if guide is None and guidance not in (None, 1) and not self.network.reads:
            raise InputError(
                f"guidance = {short(guidance)}: this model knows no labels to guide towards."
            )
        own: Guidance = member(Guidance, how.guidance)
        denoiser = lead.arrange(self.denoiser, lead.scale(asked, own))
        if used.couples_batch and exact:
            raise InputError(
                f"solver {type(used).__name__} couples the samples of a batch, so that equal seeds "
                "give other samples in other batches; say exact=False if that will do."
            )
        if given is not None:
            given.check(self.shape)
            if self.info is not None and given.operator.keeps_range:
                self.info.check_range(given.value, "the measured value", 5 * given.std)
            denoiser, used = given.arrange(denoiser, used)
            cond = given.condition(cond, n)
        moments = self.moments()
        divides = used.divides_by_alpha or lead.divides_by_alpha or given is not None
        start = self.process.t_max if divides else 1.0
        if near is not None:
            start = self._level(near, n)
        times = make_grid(
            self.process,
            how.steps if steps is None else steps,
            how.grid if grid is None else grid,
            start,
            moments,
        )
        if float(times[0]) != start or float(times[-1]) != 0:
            raise InputError(
                f"times run from {float(times[0]):g} to {float(times[-1]):g}; a sample starts as "
                f"noise at {start:g} and ends as data at 0."
            )
        legs = used.plan(denoiser.process, times, moments)
        parts: list[Iterator[Step]] = []
        for rows in _chunks(n, how.chunk if exact else n):
            noise = Noise(seed, [first + i for i in rows])
            some = None if cond is None else cond[torch.tensor(rows)].to(self.device)
            with self.still(how.threads if exact else None):
                some = self.network.prepared(some)
            law = (
                self.process.prior((len(rows), *self.shape))
                if near is None
                else self.process.forward(near[0][torch.tensor(rows)].float(), times[0])
            )
            x = law.sample(noise.child("start"))
            walk = noise.child("walk")
            start_at = x.to(self.device)
            parts.append(trajectory(used, denoiser, start_at, times, some, walk, moments, legs))
        return parts, len(times) - 1, how.threads if exact else None

    def vary(self, x: Tensor, strength: float = 0.5, **how: Any) -> Tensor:
        """Variations of given data: some of the way to noise, and back another way.

        Arguments:
            x: modelled values, shape (B, *event).
            strength: share of the way, in angle: near 0 keeps everything, 1 nothing.
            how: arguments of ``sample``.

        Returns:
            One for each, shape (B, *event); another ``seed`` gives others.

        References:
            Meng et al., SDEdit, ICLR 2022, algorithm 1.
        """
        check_data(x, "the data to vary", self.shape)
        return self.sample(len(x), near=(x, strength), **how)

    def _level(self, near: tuple[Tensor, float], n: int) -> float:
        """The time to which data is noised before it is walked back."""
        x, strength = near
        check_data(x, "the data to vary", self.shape)
        if len(x) != n:
            raise InputError(f"{n} samples near {len(x)} data; give one for each.")
        if self.info is not None:
            self.info.check_range(x, "the data to vary")
        if not isinstance(strength, Real) or not 0 < strength <= 1:
            raise InputError(
                f"strength = {short(strength)}: accepted are numbers above 0, up to 1."
            )
        angles = self.process.angle(torch.tensor([self.process.t_min, self.process.t_max]))
        return float(self.process.time(angles[0] + strength * (angles[1] - angles[0])))

    def _check_chunk(self, chunk: int) -> None:
        """Refuse to compute more together than any model file should ask for."""
        size = math.prod(self.shape)
        if chunk * size > _TOGETHER:
            raise InputError(
                f"sampling.chunk = {chunk:,}: so many events of {size:,} numbers are too much at "
                f"once. Make it at most {max(1, _TOGETHER // size):,}, or say exact=False."
            )

    # -- files ----------------------------------------------------------------------------------

    def save(self, path: str) -> None:
        """Write the model into one file that is complete by itself; ``unnoise.load`` reads it."""
        save(self, path)


def _chunks(n: int, size: int) -> Iterator[list[int]]:
    """0 ... n-1 in lists of exactly ``size``, the last one filled up with its last number."""
    for a in range(0, n, size):
        rows = list(range(a, min(a + size, n)))
        yield rows + rows[-1:] * (size - len(rows))
