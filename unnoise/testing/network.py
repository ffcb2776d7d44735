"""Contract tests of a network."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn

from unnoise.core.condition import Condition, Given
from unnoise.core.noise import Noise
from unnoise.networks import ClassifierNetwork, Network, null_condition
from unnoise.testing.compare import draw, refusal

Function = Callable[[Tensor, Tensor], Tensor]


_noise = partial(draw, dtype=torch.float32)


def awake(network: Any) -> Any:
    """Perturb every weight, so that layers initialised at zero let gradients through."""
    with torch.no_grad():
        for i, parameter in enumerate(network.parameters()):
            parameter += 0.05 * _noise(1, *parameter.shape, name=str(i))[0]
    return network


class ClockedContract(ABC):
    """Contract tests for every network that reads an event and a clock (log SNR).

    Attributes:
        make: returns the network under test, small, with dropout 0; if it knows labels, they
            are 0 and 1 at least.
        steps: optimiser steps in which it learns eight random examples by heart, at most.
    """

    make: Callable[[], Any]
    steps: int = 150

    @abstractmethod
    def function(self, network: Any, rows: int) -> Function:
        """The network as a function of events and clocks alone, for so many rows."""

    @final
    def inputs(self, network: Any, rows: int = 4) -> tuple[Tensor, Tensor]:
        """Test inputs (x, clock)."""
        return _noise(rows, *network.shape, name="x"), torch.linspace(-8, 8, rows)

    def test_gradients_reach_every_weight(self) -> None:
        network = awake(self.make())
        found = self.function(network, 4)(*self.inputs(network))
        (found * _noise(*found.shape, name="target")).sum().backward()
        silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert silent == []

    def test_listens_to_the_clock(self) -> None:
        network = awake(self.make())
        (x, clock), said = self.inputs(network), self.function(network, 4)
        assert ((said(x, clock) - said(x, clock + 1)).flatten(1).norm(dim=1) > 0).all()

    def test_thousand_clocks_stay_apart(self) -> None:
        """A thousand clocks stay distinct under bfloat16 autocast, which alone keeps 507 apart."""
        network = awake(self.make())
        x = self.inputs(network, 1)[0].expand(1000, *network.shape)
        heard: list[Tensor] = []

        def listen(_: nn.Module, arguments: tuple[Tensor, ...], answer: Tensor) -> None:
            heard.append(arguments[0])

        # The first layer that hears of the clock: its inputs must differ in every row.
        first = next(m for m in network.modules() if isinstance(m, nn.Linear))
        hook = first.register_forward_hook(listen)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            self.function(network, 1000)(x, torch.linspace(-10, 10, 1000))
        hook.remove()
        assert len(heard[0].unique(dim=0)) == 1000 and heard[0].dtype == torch.float32

    def test_refuses_other_shapes(self) -> None:
        network = self.make()
        clock, said = self.inputs(network)[1], self.function(network, 4)
        wrong = _noise(4, *network.shape, 1, name="x")
        assert refusal(lambda: said(wrong, clock)).endswith(".")

    def test_weights_come_from_the_seed(self) -> None:
        """Initial weights have the same bits each time; torch's own generator is left alone."""
        before = torch.random.get_rng_state()
        first = self.make().state_dict()
        assert torch.equal(before, torch.random.get_rng_state())
        with torch.random.fork_rng():
            torch.random.manual_seed(12345)
            second = self.make().state_dict()
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_rows_are_independent(self) -> None:
        """Rows are independent, in training mode too: no batch statistics."""
        network = awake(self.make())
        (x, clock), said = self.inputs(network), self.function(network, 4)
        for mode in (False, True):
            network.train(mode)
            other = x.clone()
            other[1:] = 3 * _noise(*x.shape, name="other")[1:] + 2
            with torch.no_grad():
                assert torch.equal(said(x, clock)[0], said(other, clock)[0])

    def test_learns_a_batch_by_heart(self) -> None:
        network = self.make()
        (x, clock), said = self.inputs(network, 8), self.function(network, 8)
        target = _noise(*said(x, clock).shape, name="target")
        optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
        losses: list[float] = []
        while len(losses) < self.steps and (not losses or losses[-1] >= 0.05):
            optimiser.zero_grad()
            loss = (said(x, clock) - target).square().mean()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < 0.05

    def test_float64(self) -> None:
        """``network.double()`` computes in float64, and says the same up to float32's rounding."""
        network = awake(self.make())
        (x, clock), said = self.inputs(network), self.function(network, 4)
        with torch.no_grad():
            plain = said(x, clock)
            network.double()
            fine = said(x.double(), clock)
        assert fine.dtype == torch.float64
        assert float((fine - plain).abs().max()) < 1e-4 * float(plain.abs().max())

    def test_bfloat16(self) -> None:
        """Under autocast the output is what it was, to bfloat16's own precision."""
        network = awake(self.make())
        (x, clock), said = self.inputs(network), self.function(network, 4)
        with torch.no_grad():
            exact = said(x, clock)
            with torch.autocast("cpu", torch.bfloat16):
                rough = said(x, clock).float()
        assert float((rough - exact).norm() / exact.norm()) < 0.05


def _in_type(cond: Given, x: Tensor) -> Given:
    """A condition whose values along the event and vectors are of the events' type."""
    if cond is None:
        return None
    local, vector = (None if v is None else v.to(x.dtype) for v in (cond.local, cond.vector))
    return replace(cond, local=local, vector=vector)


def conditions_for(network: Network, rows: int, seed: int = 0) -> Given:
    """A condition of every slot that a network reads, kept; other seeds give other values."""
    cond = null_condition(network, rows)
    if cond is None:
        return None
    noise = Noise(seed, range(rows))
    values: dict[str, Tensor] = {}
    for slot in sorted(cond.slots):
        value = getattr(cond, slot)
        if value.is_floating_point():
            values[slot] = noise.child(slot).normal(value)
        elif slot == "label":
            values[slot] = (torch.arange(rows) + seed) % 2
        else:  # 0 is padding
            values[slot] = 1 + (torch.arange(rows * 3).reshape(rows, 3) + seed) % 2
    return Condition(**values)


class NetworkContract(ClockedContract, ABC):
    """Contract tests for every network of a denoiser."""

    make: Callable[[], Network]

    @final
    def function(self, network: Any, rows: int) -> Function:
        """The condition is hidden in the last rows."""
        keep = torch.arange(rows) < max(2, rows - 2)
        cond = conditions_for(network, rows)
        cond = None if cond is None else cond.drop(keep, network.guided)
        return lambda x, clock: network(x, clock, _in_type(cond, x))

    def test_gives_events(self) -> None:
        network = self.make()
        x, clock = self.inputs(network)
        found = self.function(network, 4)(x, clock)
        assert found.shape == (4, network.outputs * x.shape[1], *x.shape[2:])

    def test_labels_and_their_absence_differ(self) -> None:
        network = self.make()
        if "label" not in network.reads:
            return
        awake(network)
        x, clock = self.inputs(network)
        cond = conditions_for(network, len(x))
        assert cond is not None
        labels = (torch.full((len(x),), number, dtype=torch.int64) for number in (0, 1))
        zero, one = (replace(cond, label=label) for label in labels)
        outputs = [network(x, clock, cond) for cond in (zero, one, zero.null(["label"]))]
        for a, b in ((0, 1), (0, 2), (1, 2)):
            assert ((outputs[a] - outputs[b]).flatten(1).norm(dim=1) > 0).all()
        assert torch.equal(outputs[2], network(x, clock, one.null(["label"])))

    def test_what_is_hidden_changes_nothing(self) -> None:
        """Each slot that guidance hides counts where it is kept, and not where it is hidden."""
        network = awake(self.make())
        x, clock = self.inputs(network)
        one, other = (conditions_for(network, len(x), seed) for seed in (0, 1))
        for slot in sorted(network.reads & network.guided):
            assert one is not None and other is not None
            changed = replace(one, **{slot: getattr(other, slot)})
            seen = [network(x, clock, cond) for cond in (one, changed)]
            assert ((seen[0] - seen[1]).flatten(1).norm(dim=1) > 0).any(), slot
            hidden = [network(x, clock, cond.null([slot])) for cond in (one, changed)]
            assert torch.equal(*hidden), slot

    def test_prepares_whatever_is_hidden(self) -> None:
        """What is computed of a condition ahead of a walk serves every mask."""
        network = awake(self.make())
        x, clock = self.inputs(network)
        cond = conditions_for(network, len(x))
        if cond is None:
            return
        ready = network.prepared(cond)
        assert ready is not None
        for slots in ((), network.guided):
            one, other = (network(x, clock, each.null(slots)) for each in (ready, cond))
            assert torch.equal(one, other)

    def test_refuses_a_missing_label(self) -> None:
        network = self.make()
        x, clock = self.inputs(network)
        if network.reads:
            assert refusal(lambda: network(x, clock, None)).endswith(".")
            assert refusal(lambda: network(x, clock, Condition())).endswith(".")


class ClassifierContract(ClockedContract, ABC):
    """Contract tests for every classifier network."""

    make: Callable[[], ClassifierNetwork]

    @final
    def function(self, network: Any, rows: int) -> Function:
        return network

    def test_begins_without_an_opinion(self) -> None:
        """Untrained logits are all zero, so an untrained classifier gives no guidance."""
        network = self.make()
        found = network(*self.inputs(network))
        assert torch.equal(found, torch.zeros(4, network.classes))

    def test_sees_where_a_number_is(self) -> None:
        """Mirrored events give other logits: the network sees position."""
        network = awake(self.make())
        x, clock = self.inputs(network)
        away = network(x, clock) - network(x.flip(-1), clock)
        assert (away.abs() > 1e-4).any(1).all()
