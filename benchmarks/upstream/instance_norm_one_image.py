"""CPU: the gradients of InstanceNorm are wrong for a batch of one image, if the gradient of its output is channels last

`nn.InstanceNorm2d` and `nn.InstanceNorm3d`, with and without weights, fp32, bf16 and float64: for a batch of one image whose output's
gradient is channels last, the gradients of input, weight and bias have nothing to do with the right ones (relative errors above 1),
without a word. Nothing else has to be channels last. With two images or more, or a contiguous gradient, all is well. In a network that is
converted to channels last the next convolution gives such a gradient, and so does a residual sum; GELU, SiLU and Tanh hand it on, while
ReLU makes it contiguous. So the residual blocks of networks for style transfer and image to image, which are often trained on one image
at a time, learn from wrong gradients there, and with them all that lies before.

Expected: the gradients of the contiguous run.

Workaround: `nn.GroupNorm(channels, channels, affine=False)` calculates the same, or train on two images at a time.
"""
import sys
import torch
from torch import nn

last,wrong = torch.channels_last,False
for n in (1, 2):
    torch.manual_seed(0)
    norm,x,g = nn.InstanceNorm2d(16, affine=True),torch.randn(n, 16, 8, 8, requires_grad=True),torch.randn(n, 16, 8, 8)
    def gradients(g): return torch.autograd.grad(norm(x), [x, norm.weight, norm.bias], g)
    off = [((a-b).norm()/b.norm()).item() for a,b in zip(gradients(g.contiguous(memory_format=last)), gradients(g))]
    wrong = wrong or max(off) > 1e-3
    print(f'{n} image{"s"*(n > 1)}: input, weight and bias gradient are off by', *(f'{o:.1e}' for o in off))

def conv(ni, no, k=3): return nn.Sequential(nn.Conv2d(ni, no, k, padding=k//2, bias=False), nn.InstanceNorm2d(no))

class Block(nn.Module):
    "A residual block of a generator"
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(conv(16, 16), nn.ReLU(), conv(16, 16))
    def forward(self, x): return x+self.body(x)

for n in (1, 2):
    torch.manual_seed(0)
    net,x = nn.Sequential(conv(3, 16, 7), nn.ReLU(), Block(), nn.Conv2d(16, 3, 7)),torch.randn(n, 3, 32, 32)
    def gradient(net, x):
        net.zero_grad()
        net(x).square().mean().backward()
        return net[0][0].weight.grad.clone()
    right = gradient(net, x)
    off = (gradient(net.to(memory_format=last), x.to(memory_format=last))-right).norm()/right.norm()
    wrong = wrong or off.item() > 1e-3
    print(f'{n} image{"s"*(n > 1)}: a generator in channels last, gradient of its first convolution: off by {off:.1e}')
sys.exit(wrong)
