"""CPU: the backward pass of a 1x1 convolution with a stride writes beyond its buffer, in channels last with under 16 input channels

`Conv2d(ni, no, 1, stride=2)` with fewer than 16 input channels, weight and input in channels last, fp32, on a CPU: the backward pass
writes beyond the end of a buffer. The process dies at once or later (segmentation fault, `free(): invalid pointer`), or goes on with
other tensors overwritten. The heap checks of glibc find it at once: run this with `MALLOC_CHECK_=3 MALLOC_PERTURB_=7`. RepVGG,
MobileOne and FastViT begin with such a convolution. Contiguous, and with 16 channels or more, all is well.

Expected: no crash, and the gradients of the contiguous run.

Workaround: `conv(x[:, :, ::2, ::2])` with a stride of 1 is the same function.

Known: https://github.com/uxlfoundation/oneDNN/issues/6035 (open in September 2026) names the cause in oneDNN, a workspace that is
booked too small for fewer channels than the implementation's block (8 with AVX2, 16 with AVX512), and has a patch.
"""
import sys
import torch
from torch import nn

channels,layout = int(sys.argv[1]) if len(sys.argv) > 1 else 8, sys.argv[2] if len(sys.argv) > 2 else 'channels_last'
fmt = dict(contiguous=torch.contiguous_format, channels_last=torch.channels_last)[layout]
torch.manual_seed(0)
conv = nn.Conv2d(channels, 48, 1, stride=2, bias=False).to(memory_format=fmt)
x = torch.randn(4, channels, 96, 96).to(memory_format=fmt)
print(f'{layout}, {channels} input channels', flush=True)
for _ in range(8):
    others = [torch.randn(7*i+1) for i in range(50)]
    conv(x).sum().backward()
print('survived')
