"""Where the noise of a rollout comes from."""

import operator
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from millivid.diffusion.tokens import TokenBatch
from millivid.files.values import check_number
from millivid.kernels import pack_tokens, unpack_tokens_


class Noise:
    """Where a rollout's noise comes from: standard normal, new for every token of every step.

    generator: of the latents' device; None for torch's own. Raises ValueError for another one.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        if generator is not None and not isinstance(generator, torch.Generator):
            raise ValueError(f"generator is {generator!r}; give torch.Generator(device).manual_seed(seed), or None")
        self.generator = generator

    def draw(self, x: Float[Tensor, "batch token c"], tokens: TokenBatch) -> Float[Tensor, "batch token c"]:
        """The noise of a step's tokens, like x, which is not read; the columns may lie elsewhere than x."""
        if self.generator is not None and self.generator.device.type != x.device.type:
            raise ValueError(
                f"the generator is of {self.generator.device}, the latents are on {x.device}; make it there: "
                f"torch.Generator({str(x.device)!r})"
            )
        return torch.randn(x.shape, generator=self.generator, device=x.device, dtype=x.dtype)

    def keep(self, eps: Float[Tensor, "batch token c"], tokens: TokenBatch) -> None:
        """Take the noise as the step left it: at the targets, the model's last estimate."""

    def state(self) -> dict[str, Tensor]:
        """What noise of the same settings needs to go on from here; nothing where it cannot."""
        return {}

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Go on from such a state."""


class FrameNoise(Noise):
    """One noise per frame for the whole video, in which targets leave their last estimate: FramePack's released rollout.

    stores: noise per level, shaped like the latents.
    """

    def __init__(self, stores: Sequence[Float[Tensor, "batch _frame _height _width c"]]) -> None:
        self.stores = stores

    def draw(self, x: Float[Tensor, "batch token c"], tokens: TokenBatch) -> Float[Tensor, "batch token c"]:
        return pack_tokens(self.stores, *tokens.to(x.device).place)

    def keep(self, eps: Float[Tensor, "batch token c"], tokens: TokenBatch) -> None:
        tokens = tokens.to(eps.device)
        unpack_tokens_(self.stores, eps, *tokens.place, tokens.is_target)


class SeededNoise(Noise):
    """Noise that depends on a video's seed and on the step alone, not on its neighbours in a batch or on the device.

    seeds: whole numbers from 0, one per video. step: how many steps have drawn; a rollout that goes on where another one
    stopped begins there.
    """

    def __init__(self, seeds: Sequence[int], step: int = 0) -> None:
        for seed in seeds:
            check_number(seed, "seed", 0, 2**63 - 1, whole=True)
        self.seeds, self.step = tuple(map(operator.index, seeds)), step

    def draw(self, x: Float[Tensor, "batch token c"], tokens: TokenBatch) -> Float[Tensor, "batch token c"]:
        if len(x) != len(self.seeds):
            raise ValueError(f"there are {len(self.seeds)} seeds for {len(x)} videos; give one for each")
        eps = [torch.randn(x.shape[1:], generator=self._generator(seed), dtype=x.dtype) for seed in self.seeds]
        self.step += 1
        return torch.stack(eps).to(x.device, non_blocking=True)

    def _generator(self, seed: int) -> torch.Generator:
        mixed = np.random.SeedSequence((seed, self.step)).generate_state(1, np.uint64)
        return torch.Generator("cpu").manual_seed(int(mixed[0]))

    def state(self) -> dict[str, Tensor]:
        return {"noise_step": torch.tensor(self.step)}

    def resume(self, state: Mapping[str, Tensor]) -> None:
        self.step = int(state["noise_step"])
