"""CPU: fused optimizers step wrongly, in silence, if the model is converted to channels last after their state was made

`model.to(memory_format=torch.channels_last)` swaps the data of the parameters; the state of the optimizer keeps its old strides. The
optimizers that step with ordinary operations do not mind. The fused ones go through the memory of parameter, gradient and state side
by side, and pair elements that do not belong together.

Expected: the same weights as without the conversion, or an error, as the strides of parameter and state differ.

Known: https://github.com/pytorch/pytorch/issues/106951 is about such a check, which CUDA's fused optimizers have. Those of a CPU, seen
here, have none.

Workaround: convert the model before the first step, or the state with it: `state['exp_avg'] =
state['exp_avg'].to(memory_format=torch.channels_last)`, and `exp_avg_sq` alike.
"""
import sys
import torch
from torch import nn

def weights(fused, convert):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).double()
    opt = torch.optim.AdamW(model.parameters(), lr=.01, fused=fused)
    for step in range(6):
        if convert and step == 3: model.to(memory_format=torch.channels_last)
        model(torch.randn(2, 3, 8, 8, dtype=torch.float64)).square().mean().backward()
        opt.step()
        opt.zero_grad()
    return torch.cat([p.detach().flatten() for p in model.parameters()])

error = {fused:(weights(fused, True)-weights(fused, False)).abs().max().item() for fused in (False, True)}
for fused,e in error.items():
    print(f"{'fused' if fused else 'ordinary'} AdamW: converted after 3 of 6 steps, weights differ by up to {e:.2g}")
sys.exit(error[True] > 1e-9)
