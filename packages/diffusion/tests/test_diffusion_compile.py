"""The video model is one graph to torch.compile, padding and backward pass included."""

import subprocess
import sys

# In a process of its own: the checks of array annotations, on in these tests, cannot be traced.
PROGRAM = """
import torch
from millivid.diffusion import VideoDiT, VideoDiTConfig, stack_tokens
from millivid.rollout import make_schedule

torch.manual_seed(0)
grids = ((2, 4), (1, 2))
model = VideoDiT(VideoDiTConfig(grids=grids, latent_channels=3, width=32, depth=2, num_heads=2))
for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.1)
steps = make_schedule("millivid", windows=(1, 4), history=13, pads=True).chunk((8, 2)).steps
tokens = stack_tokens([steps[0].tokens(grids), steps[1].tokens(grids)])
assert tokens.key_mask is not None
x, cells = torch.randn(*tokens.level.shape, 3), tokens.cell_level.shape
t, action = torch.rand(cells), torch.randint(-1, 3, cells)
compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
with torch.no_grad():
    torch.testing.assert_close(compiled(x, t, tokens, action), model(x, t, tokens, action), atol=1e-5, rtol=1e-5)
parameters = list(model.parameters())
gradients = [torch.autograd.grad(f(x, t, tokens, action).square().mean(), parameters) for f in (compiled, model)]
for a, b in zip(*gradients):
    torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)
"""


def test_one_graph() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]


# Blocks alone: what changes from step to step (conditions, contexts, lengths) must not make a graph each.
ROLLOUT = """
import torch
from torch._dynamo.testing import CompileCounter
from millivid.diffusion import SamplerConfig, SeededNoise, VideoDiT, VideoDiTConfig, rollout
from millivid.rollout import make_schedule, plan

torch.manual_seed(0)
grids = ((2, 4), (1, 2))
video = plan(make_schedule("millivid", windows=(1, 4), history=16), (8, 2), 9, 17)
actions = torch.randint(0, 3, (2, video.buffer_end))
for frozen in (False, True):
    model = VideoDiT(VideoDiTConfig(grids=grids, latent_channels=3, width=32, depth=2, num_heads=2, frozen_context=frozen))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    given = [torch.randn(2, video.buffer_end, *grid, 3) for grid in grids]

    def run():
        stores = [store.clone() for store in given]
        list(rollout(model, stores, video, actions, SamplerConfig(steps=3), SeededNoise((1, 2))))
        return stores

    expected, counter = run(), CompileCounter()
    for name in ("_run", "_read"):
        setattr(model, name, torch.compile(getattr(model, name), dynamic=False, backend=counter, fullgraph=True))
    model._compiled = True
    for a, b in zip(run(), expected):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    assert counter.frame_count == (2 if frozen else 1), counter.frame_count
    torch._dynamo.reset()
"""


def test_a_rollout_needs_one_graph() -> None:
    ran = subprocess.run([sys.executable, "-c", ROLLOUT], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
