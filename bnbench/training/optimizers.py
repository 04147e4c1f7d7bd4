"""Gradient descent as its papers write it: SGD with momentum, and Adam.

    optimizer = build_optimizer(config, model)
    optimizer.zero_grad(); loss.backward(); optimizer.step()

torch.optim computes the same; the tests compare every step bit for bit. torch.optim is not used because it imports
torch's compiler: two seconds and 900 modules in every process. The operations below have the order of torch.optim's
loop over single tensors, its default on a CPU; another order would round differently. A state has the names and the
tensors of torch.optim's `state_dict()["state"]`, so that checkpoints made with torch.optim can be read.
"""

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bnbench.config.train import OptimizerConfig, SGDConfig
from bnbench.models.networks import hidden_weights

EPSILON = 1e-8  # Adam's ε, the paper's default

State = dict[str, Any]  # for one parameter: tensors of its shape, and the number of steps (Adam)


class Optimizer(Protocol):
    """What the training loop and a checkpoint need; torch.optim's optimizers have it too, but for `lr`."""

    lr: float

    def zero_grad(self) -> None: ...

    def step(self) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None: ...


class _Optimizer:
    """Parameters, each with a state that its first step makes; a subclass writes `update`.

    L2 weight decay λ adds λθ to the gradient of each parameter in `decayed` (None: of every parameter).
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, lr: float, weight_decay: float, decayed: Iterable[Tensor] | None
    ) -> None:
        self.parameters = list(parameters)
        self.states: list[State] = [{} for _ in self.parameters]
        self.lr, self.weight_decay = lr, weight_decay
        these = None if decayed is None else {id(parameter) for parameter in decayed}
        self.decays = [weight_decay != 0 and (these is None or id(p) in these) for p in self.parameters]

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        for parameter, state, decays in zip(self.parameters, self.states, self.decays, strict=True):
            if (gradient := parameter.grad) is not None:
                if decays:
                    gradient = gradient.add(parameter, alpha=self.weight_decay)
                self.update(parameter, gradient, state)

    def update(self, parameter: Tensor, gradient: Tensor, state: State) -> None:
        """Make the step of one parameter. `gradient` includes the weight decay."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        return {"state": {number: state for number, state in enumerate(self.states) if state}}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        saved = state_dict["state"]
        for number, parameter in enumerate(self.parameters):
            self.states[number] = {
                name: int(value) if name == "step" else value.to(parameter, copy=True)
                for name, value in saved.get(number, {}).items()
            }


class SGD(_Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013, equations 1 and 2) and L2 weight decay.

        g ← ∇f(θ) + λθ
        b ← μb + g        (b = g in the first step)
        θ ← θ - ηb

    η, the learning rate, multiplies b and not g, as in torch.optim: the paper's velocity is -ηb.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        decayed: Iterable[Tensor] | None = None,
    ):
        super().__init__(parameters, lr=lr, weight_decay=weight_decay, decayed=decayed)
        self.momentum = momentum

    def update(self, parameter: Tensor, gradient: Tensor, state: State) -> None:
        if self.momentum != 0:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = gradient.clone()
            else:
                state["momentum_buffer"].mul_(self.momentum).add_(gradient)
            gradient = state["momentum_buffer"]
        parameter.add_(gradient, alpha=-self.lr)


class Adam(_Optimizer):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1), with L2 weight decay.

        g ← ∇f(θ) + λθ
        m ← m + (1 - β₁)(g - m)
        v ← β₂v + (1 - β₂)g²
        θ ← θ - η/(1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε)

    The last line is the paper's θ - η m̂ / (√v̂ + ε), with m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ).
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        decayed: Iterable[Tensor] | None = None,
    ):
        super().__init__(parameters, lr=lr, weight_decay=weight_decay, decayed=decayed)
        self.betas = betas

    def update(self, parameter: Tensor, gradient: Tensor, state: State) -> None:
        beta1, beta2 = self.betas
        if not state:
            state |= {"step": 0, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
        state["step"] = t = int(state["step"]) + 1
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.lerp_(gradient, 1 - beta1)
        v.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        denominator = (v.sqrt() / (1 - beta2**t) ** 0.5).add_(EPSILON)
        parameter.addcdiv_(m, denominator, value=-self.lr / (1 - beta1**t))


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> Optimizer:
    decay: dict[str, Any] = {
        "weight_decay": config.weight_decay,
        "decayed": None if config.weight_decay_on == "all" else hidden_weights(model),
    }
    if isinstance(config, SGDConfig):
        return SGD(model.parameters(), lr=config.lr, momentum=config.momentum, **decay)
    beta1, beta2 = config.betas
    return Adam(model.parameters(), lr=config.lr, betas=(beta1, beta2), **decay)
