"""Sampling plans: a request that was checked, resolved and planned once, ready to walk."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, cast, final

import torch
from torch import Tensor

from unnoise.catalogue.registry import member
from unnoise.core.distributions import Normal
from unnoise.core.errors import InputError, NumbersError, short
from unnoise.core.noise import Noise
from unnoise.denoisers import Constant, GaussianDenoiser, Guidance
from unnoise.likelihood.given import check_data
from unnoise.models.branches import check_branches
from unnoise.models.conditions import Conditions
from unnoise.models.guides import Guide, guide_of
from unnoise.models.request import SampleRequest
from unnoise.solvers import Ancestral, Solver, Step, grid, trajectory
from unnoise.solvers.base import Leg
from unnoise.system.modes import usable
from unnoise.system.progress import Count, counting

if TYPE_CHECKING:
    from unnoise.models.ode_model import OdeModel

_TOGETHER = 2**26  # numbers of all samples of a chunk


@final
@dataclass(frozen=True, eq=False)
class Plan:
    """A walk from noise to data for the samples of a request; it draws nothing until it walks.

    Arguments:
        request: what was asked.
        model: whose samples they are.
        conditions: of each sample.
        denoiser, solver: with guidance and measurement arranged around them.
        times: of the grid, shape (steps + 1,), float64, descending.
        legs: the solver's numbers of every step.
        chunk: samples that are computed together, padded; None computes all in one batch.
        threads: CPU threads; None those there are.
    """

    request: SampleRequest
    model: "OdeModel"
    conditions: Conditions
    denoiser: GaussianDenoiser
    solver: Solver
    times: Tensor
    legs: Sequence[Leg]
    chunk: int | None
    threads: int | None

    def __len__(self) -> int:
        """Number of steps."""
        return len(self.times) - 1

    def walk(self, rows: Sequence[int] | None = None) -> Iterator[Step]:
        """Every step of some samples, for films and progress.

        Arguments:
            rows: absolute numbers of samples, among those of the request; None walks all.

        Yields:
            Step(index, t, s, x, belief) of all rows; the belief is its mean, a point.
        """
        n, chunks = self._chunks(rows)
        with self.model.still(self.threads):
            parts = [self._begin(chunk) for chunk in chunks]
        for _ in range(len(self)):
            # Between two steps grad mode and thread count are the caller's again.
            with self.model.still(self.threads):
                moved = _each(parts)
            beliefs = [step.belief.mean for step in moved if step.belief is not None]
            belief = Normal(torch.cat(beliefs)[:n]) if beliefs else None
            yield replace(moved[0], x=torch.cat([step.x for step in moved])[:n], belief=belief)

    def sample(self, rows: Sequence[int] | None = None, *, progress: bool | None = None) -> Tensor:
        """Where the walk ends, shape (n, *event), float32; one chunk after another in memory.

        Arguments:
            rows: as of ``walk``.
            progress: whether a line shows how far it is, as of ``unnoise.progress``.

        Raises:
            NumbersError: the samples hold NaN or infinite numbers.
        """
        n, chunks = self._chunks(rows)
        steps = len(chunks) * len(self)
        with (
            self.model.still(self.threads),
            counting("drawing samples", steps, "steps", progress) as count,
        ):
            ends = [_end(self._begin(chunk), count) for chunk in chunks]
        x = torch.cat(ends)[:n]
        if not bool(torch.isfinite(x).all()):
            raise NumbersError(
                "the samples hold NaN or infinite numbers: the weights or the guidance are too "
                "large."
            )
        return x

    def _chunks(self, rows: Sequence[int] | None) -> tuple[int, list[list[int]]]:
        """How many rows, and they in lists of exactly ``chunk``, padded with the last number."""
        first, n = self.request.first, self.request.n
        asked = list(range(first, first + n) if rows is None else rows)
        if not asked or min(asked) < first or max(asked) >= first + n:
            raise InputError(f"rows: give numbers of samples from {first} to {first + n - 1}.")
        size = self.chunk or len(asked)
        parts = [asked[a : a + size] for a in range(0, len(asked), size)]
        return len(asked), [part + part[-1:] * (size - len(part)) for part in parts]

    def _begin(self, rows: list[int]) -> Iterator[Step]:
        """The walk of one chunk."""
        model, request = self.model, self.request
        index = torch.tensor(rows) - request.first
        noise = Noise(request.seed, rows)
        if request.near is None:
            law = model.process.prior((len(rows), *model.shape))
        else:
            law = model.process.forward(usable(request.near[0])[index].float(), self.times[0])
        x = law.sample(noise.child("start")).to(model.device)
        cond = self.conditions[index]
        if request.given is not None:
            cond = request.given.condition(cond, index)
        if cond is not None:
            cond = model.network.prepared(cond.to(model.device))
        return trajectory(
            self.solver, self.denoiser, x, self.times, cond, noise.child("walk"), legs=self.legs
        )


def _each(parts: Sequence[Iterator[Step]]) -> list[Step]:
    """The next step of every chunk: a unit of whoever counts the walk's steps."""
    moved: list[Step] = []
    with counting("drawing samples", len(parts), "chunks", False) as count:
        for part in parts:
            moved.append(next(part))
            count()
    return moved


def _end(walk: Iterator[Step], count: Count) -> Tensor:
    """Where a walk ends; of its steps only the last is kept in memory."""
    x = next(walk).x
    count()
    for step in walk:
        x = step.x
        count()
    return x


def plan(model: "OdeModel", request: SampleRequest, denoiser: GaussianDenoiser | None) -> Plan:
    """Check a request against a model, fill in the model's defaults, and plan the walk.

    Arguments:
        model: whose samples are asked for.
        request: what is asked.
        denoiser: in place of the model's own, such as one that shares its calls with others.

    Raises:
        InputError: before the first network call, when something asked for cannot be done.
    """
    if not isinstance(request, SampleRequest):
        raise InputError(f"plan takes a SampleRequest(n, ...); given {short(request)}.")
    own, given = model.sampling, request.given
    chunk = _chunk(model) if request.exact else None
    # A measurement pulls at every belief; the noise of ancestral steps forgives its errors.
    default = own.solver if given is None else Ancestral()
    solver = cast(Solver, request.solver or default)  # the request has read it
    guide = guide_of(request.guide)
    inner = model.denoiser if denoiser is None else denoiser
    arranged, conditions = _guided(model, request, guide, inner)
    if solver.couples_batch and request.exact:
        raise InputError(
            f"solver {type(solver).__name__} couples the samples of a batch, so that equal seeds "
            "give other samples in other batches; say exact=False if that will do."
        )
    if given is not None:
        given.check(model.shape, request.n)
        if given.operator.keeps_range:
            model.space.check_range(given.value, "the measured value", 5 * given.std)
        arranged, solver = given.arrange(arranged, solver)
    divides = solver.divides_by_alpha or guide.divides_by_alpha or given is not None
    start = model.process.t_max if divides else 1.0
    if request.near is not None:
        start = _level(model, request)
    times = _times(model, request, start)
    legs = solver.plan(arranged.process, times, model.moments())
    threads = own.threads if request.exact else None
    return Plan(request, model, conditions, arranged, solver, times, legs, chunk, threads)


def _guided(
    model: "OdeModel", request: SampleRequest, guide: Guide, denoiser: GaussianDenoiser
) -> tuple[GaussianDenoiser, Conditions]:
    """The guided denoiser, and what each sample is asked to be."""
    # What varies data, or agrees with a measurement, is of no class unless one is asked for.
    unasked = request.cond is None and request.label is None and not guide.needs_label
    free = unasked and (request.given is not None or request.near is not None)
    strength: Any = Constant(0.0) if free and request.guide is None else request.guidance
    arranged = guide.arrange(model, denoiser, strength)
    known = model.labels if guide.labels is None else guide.labels
    conditions = Conditions(
        model.network,
        request.n,
        request.cond,
        request.label,
        request.first,
        request.seed,
        known,
        free,
    )
    _check_guidance(model, request, free)
    own: Any = strength or model.sampling.guidance
    if request.guide is not None:  # then the model itself is asked plainly
        own = Constant(0.0 if guide.needs_label else 1.0)
    check_branches(model, member(Guidance, own), conditions.hidden)
    return arranged, conditions


def _check_guidance(model: "OdeModel", request: SampleRequest, free: bool) -> None:
    """Refuse guidance by the model itself where there is nothing to guide towards."""
    asked = request.guidance
    if asked is None or request.guide is not None:
        return
    told = short(getattr(asked, "scale", asked))
    if free:
        raise InputError(f"guidance = {told}: towards what? Give a label.")
    if asked != Constant(1.0) and not model.network.reads:
        raise InputError(f"guidance = {told}: this model knows no labels to guide towards.")


def _times(model: "OdeModel", request: SampleRequest, start: float) -> Tensor:
    own = model.sampling
    steps = own.steps if request.steps is None else request.steps
    spaced = own.grid if request.grid is None else request.grid
    times = grid(model.process, steps, spaced, start, model.moments())
    if float(times[0]) != start or float(times[-1]) != 0:
        raise InputError(
            f"times run from {float(times[0]):g} to {float(times[-1]):g}; a sample starts as "
            f"noise at {start:g} and ends as data at 0."
        )
    return times


def _level(model: "OdeModel", request: SampleRequest) -> float:
    """The time to which data is noised before it is walked back."""
    assert request.near is not None
    x, strength = request.near
    check_data(x, "the data to vary", model.shape)
    if len(x) != request.n:
        raise InputError(f"{request.n} samples near {len(x)} data; give one for each.")
    model.space.check_range(x, "the data to vary")
    if not isinstance(strength, Real) or not 0 < strength <= 1:
        raise InputError(f"strength = {short(strength)}: accepted are numbers above 0, up to 1.")
    process = model.process
    angles = process.angle(torch.tensor([process.t_min, process.t_max]))
    return float(process.time(angles[0] + strength * (angles[1] - angles[0])))


def _chunk(model: "OdeModel") -> int:
    """Samples that are computed together; no more than any model file should ask for."""
    size, chunk = math.prod(model.shape), int(model.sampling.chunk)
    if chunk * size > _TOGETHER:
        raise InputError(
            f"sampling.chunk = {chunk:,}: so many events of {size:,} numbers are too much at "
            f"once. Make it at most {max(1, _TOGETHER // size):,}, or say exact=False."
        )
    return chunk
