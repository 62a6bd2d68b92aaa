"""CPU, bfloat16: the weight gradient of a convolution of a very small image is read from memory that nobody wrote

`Conv2d(256, 512, 3, stride=2, padding=1)` of an image of one pixel, in bfloat16 on a CPU that has AVX512-BF16, in contiguous format
and in channels last. One pixel meets the middle of the kernel only, so the gradient of all other weights is 0. It is not: parts of it
are whatever was in memory before, among it NaN and infinity. A ResNet of images that are 16 pixels high and wide does this in its last
stage. So is the gradient of `Conv3d(16, 16, 3, padding=1)` of a clip of 2x2x2 pixels, with a stride of one.

Expected: the same gradient as in float32, but for rounding.

Workaround: images large enough that more than one pixel is left there; or float32 for that layer; or
`torch.backends.mkldnn.flags(enabled=False)` around the step.
"""
import sys
import torch
from torch import nn

def wrong(n_in, n_out, stride, dtype, layout, seed):
    "How many weights outside the middle of the kernel have a gradient that is not 0"
    torch.manual_seed(seed)
    conv = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False).to(dtype).to(memory_format=layout)
    x = torch.randn(2, n_in, 1, 1).to(dtype).to(memory_format=layout)
    used = [torch.full((n,), float('nan')) for n in (10**4, 10**5, 10**6)]  # What was in memory before
    del used
    conv(x).float().square().sum().backward()
    conv.weight.grad[:, :, 1, 1] = 0
    return (conv.weight.grad != 0).sum().item()

def wrong3d(groups, layout, seed):
    "How many gradients of a convolution of 2x2x2 pixels are off by more than a tenth of the largest"
    torch.manual_seed(seed)
    conv,x = nn.Conv3d(16, 16, 3, padding=1, groups=groups, bias=False).to(memory_format=layout),torch.randn(2, 16, 2, 2, 2)
    def gradient(dtype):
        used = [torch.full((n,), float('nan')) for n in (10**3, 10**4, 10**5, 10**6)]
        del used
        conv.zero_grad()
        conv.to(dtype)(x.to(dtype).to(memory_format=layout)).float().square().sum().backward()
        return conv.weight.grad.float().clone()
    right = gradient(torch.float32)
    return (~((gradient(torch.bfloat16)-right).abs() < right.abs().max()/10)).sum().item()

bad = False
cases = [(c, 2*c, 2, torch.bfloat16) for c in (8, 16, 32, 64, 128, 256)] + [(256, 512, 1, torch.bfloat16), (256, 512, 2, torch.float32)]
for n_in,n_out,stride,dtype in cases:
    for layout in (torch.contiguous_format, torch.channels_last):
        counts = [wrong(n_in, n_out, stride, dtype, layout, seed) for seed in range(8)]
        bad |= any(counts)
        setup = f'{n_in} to {n_out} channels, stride {stride}, {dtype}, {layout}'
        print(f'{setup}: {max(counts)} of {n_in*n_out*8} gradients are not 0 (the most of 8 runs)')
for groups in (1, 16):
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        counts = [wrong3d(groups, layout, seed) for seed in range(8)]
        bad |= any(counts)
        print(f'Conv3d of 2x2x2, {groups} groups, bfloat16, {layout}: {max(counts)} of {16*16//groups*27} gradients are wrong')
with torch.backends.mkldnn.flags(enabled=False): without = wrong(256, 512, 2, torch.bfloat16, torch.channels_last, 0)
print(f'256 to 512 channels, stride 2, torch.bfloat16, torch.channels_last, without oneDNN: {without}')
sys.exit(bad)
