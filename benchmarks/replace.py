"""Would a drop-in that keeps channels last be faster where a layer loses it? End to end, a training step of a network in which
the layer stands, with the layer as it is and with each candidate: same weights; outputs and gradients compared, bytes counted.
Writes results/replace-{device}.json, and goes on where the same run was interrupted.

python benchmarks/replace.py --commit
"""
from common import arguments, begun, save, timing, until_quiet, while_time
if __name__ == '__main__': a = arguments(__doc__, 'replace', minutes=True, rounds=15, seconds=25., tries=3)

import warnings
warnings.filterwarnings('ignore')
from fastai.vision.all import *
from fastxtend_cl.all import *
from nets import outcome, relative, step

class GroupNormInstance(nn.InstanceNorm2d):
    "InstanceNorm2d as a GroupNorm with a group for each channel"
    def forward(self, x): return F.group_norm(x, x.shape[1], self.weight, self.bias, self.eps)

class GroupNormInstanceHalf(GroupNormInstance):
    "The same, in half precision under autocast"
    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False): return super().forward(x)

class VarMeanInstance(nn.InstanceNorm2d):
    "InstanceNorm2d from mean and variance"
    def forward(self, x):
        var,mean = torch.var_mean(x.float(), (2,3), keepdim=True, correction=0)
        w = self.weight.view(1,-1,1,1)*(var+self.eps).rsqrt()
        return torch.addcmul((self.bias.view(1,-1,1,1)-mean*w).to(x.dtype), x, w.to(x.dtype))

class LastAttention(SelfAttention):
    "fastai's SelfAttention, whose product is laid out as channels last"
    def forward(self, x):
        flat = x.flatten(2)
        f,g,h = self.query(flat),self.key(flat),self.value(flat)
        beta = F.softmax(torch.bmm(f.transpose(1,2), g), dim=1)
        return (self.gamma*torch.bmm(beta.transpose(1,2), h.transpose(1,2))).transpose(1,2).unflatten(2, x.shape[2:]) + x

class ConvertedAttention(SelfAttention):
    "fastai's SelfAttention, whose result is converted back"
    def forward(self, x): return to_channelslast(super().forward(x))

def style():
    "The image transformation network of Johnson et al., https://arxiv.org/abs/1603.08155, with instance norm"
    def conv(ni, nf, ks, stride=1):
        return nn.Sequential(nn.Conv2d(ni, nf, ks, stride, ks//2), nn.InstanceNorm2d(nf, affine=True), nn.ReLU())
    class Res(nn.Module):
        def __init__(self, nf):
            super().__init__()
            self.body = nn.Sequential(conv(nf,nf,3), nn.Conv2d(nf,nf,3,padding=1), nn.InstanceNorm2d(nf, affine=True))
        def forward(self, x): return x+self.body(x)
    def up(ni, nf): return nn.Sequential(nn.Upsample(scale_factor=2), *conv(ni,nf,3))
    res = [Res(128) for _ in range(5)]
    return nn.Sequential(conv(3,32,9), conv(32,64,3,2), conv(64,128,3,2), *res, up(128,64), up(64,32), nn.Conv2d(32,3,9,padding=4))

def unet():
    "What `unet_learner(dls, resnet18, self_attention=True)` trains"
    return create_unet_model(resnet18, 3, (128,128), pretrained=False, self_attention=True)

# name: the layer, the network it stands in, the shape of its input, the candidates
norms = [GroupNormInstance, GroupNormInstanceHalf, VarMeanInstance, ChannelsLastInstanceNorm2d]  # The last one is the library's
work = {'style':(nn.InstanceNorm2d, style, (2,3,128,128), norms),
        'unet':(SelfAttention, unet, (4,3,128,128), [LastAttention, ConvertedAttention])}

def loss(out): return out.float().square().mean()

def network(make, device):
    "The network, the same each time; fastai's attention starts with gamma 0, where it does nothing, so here it does not"
    torch.manual_seed(0)
    model = make().to(device)
    for m in model.modules():
        if isinstance(m, SelfAttention): nn.init.constant_(m.gamma, .5)
    return model

def conversion_rate(device, mb=4, n=21):
    "Bytes a second that are converted to channels last"
    x = torch.randn(4, 256, 32, 32*mb//4, device=device)
    return x.nbytes/timing().quartiles([timing().seconds(lambda: to_channelslast(x), device) for _ in range(n)])[1]

def with_class(model, old, new):
    "`model` with all layers of class `old` turned into `new`; there must be one"
    found = [m for m in model.modules() if type(m) is old]
    assert found, f'no {old.__name__} in the network: nothing would be compared'
    for m in found: m.__class__ = new
    return model, len(found)

def measure(name, amp, a):
    "Rows of one network in one precision: contiguous, channels last, and with each candidate"
    layer,make,shape,candidates = work[name]
    x = torch.randn(shape, device=a.device)
    nets,replaced = {'contiguous':network(make, a.device), 'channels last':apply_channels_last(network(make, a.device))},{}
    for c in candidates: nets[c.__name__],replaced[c.__name__] = with_class(apply_channels_last(network(make, a.device)), layer, c)
    assert all(not isinstance(m, SelfAttention) or m.gamma.item() for n in nets.values() for m in n.modules())
    inputs = {k:x if k=='contiguous' else to_channelslast(x) for k in nets}
    found = {k:outcome(nets[k], inputs[k], loss) for k in nets}
    half = None if amp == 'fp32' else amp
    lost = {k:channelslast_summary(nets[k], inputs[k], loss_func=loss, amp=half).bytes for k in nets if k != 'contiguous'}
    fns = {k:step(nets[k], inputs[k], amp, loss) for k in nets}
    timed = until_quiet(fns, 'channels last', a.rounds, a.seconds, a.tries, device=a.device)
    (out,_,grad),r,rate = found['contiguous'],timed['times'],conversion_rate(a.device)
    return [dict(layer=layer.__name__, net=name, variant=k, replaced=replaced.get(k, 0), amp=amp, bytes=lost.get(k),
        median_ms=r[k]['median_s']*1000, conversion_share=lost.get(k) and lost[k]/rate/r[k]['median_s'],
        speedup_over_channels_last=r[k]['speedup'], rounds=timed['rounds'],
        output_difference=relative(found[k][0], out), gradient_difference=relative(found[k][2], grad)) for k in nets]

def main():
    mode,rows = default_amp_mode(a.device),begun(a)
    done = {(r['net'], r['amp']) for r in rows}
    for name,amp in while_time([o for o in itertools.product(work, ['fp32', *([mode.value] if mode else [])]) if o not in done], a):
        rows += measure(name, amp, a)
        save(a, rows=rows)
    print(pd.DataFrame(rows).to_string())

if __name__ == '__main__': main()
