"""Is `channelslast_parity` to be believed? Faults that act in channels last only are planted in networks, one at a time: is each
found, in the layer that has it and in no other? And 70 architectures, untrained, without a fault, at batch 1, 2 and 8: is all quiet?
Writes results/parity_faults.json, parity_alarms_*.json, parity_odd.json and parity_cost.json.

python benchmarks/parity_calibration.py faults --commit         # minutes
python benchmarks/parity_calibration.py tuned --commit          # 40 architectures, on which rules and thresholds were looked at
python benchmarks/parity_calibration.py held-out --commit 1 8   # 30 that were not; batch sizes may be named
python benchmarks/parity_calibration.py fp16 --commit           # ten small ones
python benchmarks/parity_calibration.py large --commit          # eight on 16 images of 224 pixels, where sums are long
python benchmarks/parity_calibration.py odd --commit            # small networks whose gradients cancel out, and other odd ones
python benchmarks/parity_calibration.py cost --commit           # CPU time and memory
"""

from common import arguments, child_env, environment, instrument, memory_mb, timing


def what(p):
    p.add_argument('what', choices=['faults', 'tuned', 'held-out', 'fp16', 'large', 'odd', 'cost', 'table'])
    p.add_argument('--network', nargs=3, metavar=('NAME', 'PRECISION', 'BATCH'), help='of cost: this one, in this process')
    p.add_argument('--batches', nargs='*', type=int, default=[2, 1, 8], help='of tuned and held-out (default: 2 1 8)')


if __name__ == '__main__':
    a = arguments(__doc__, 'parity', device=False, parser=what)

import json, subprocess, sys, time, warnings
import torch
from torch import nn
import torch.nn.functional as F
from fastxtend_cl.parity import channelslast_parity, mean_square

warnings.filterwarnings('ignore')


def last(x):
    return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


class Wrong(torch.autograd.Function):
    "`x` as it is; its gradient is `f` of what it should be"

    @staticmethod
    def forward(ctx, x, f):
        ctx.f = f
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return ctx.f(g), None


def channel(y, size):
    y = y.clone()
    y[:, y.shape[1] // 2] *= 1 + size
    return y


def sample(y, size):
    y = y.clone()
    y[-1] *= 1 + size
    return y


def border(y, size):
    y = y.clone()
    y[..., -1] *= 1 + size
    return y


def position(y, size):
    "Every 61st element in memory"
    y = y.clone(memory_format=torch.channels_last)
    flat = y.permute(0, 2, 3, 1).reshape(-1)
    flat[::61] *= 1 + size
    return flat.view(y.shape[0], *y.shape[2:], y.shape[1]).permute(0, 3, 1, 2)


def rolled(y, size):
    return y.roll(1, -1) if y.shape[-1] % 2 else y


def plant(layer, fault, size=0.01):
    "Let `layer`, a convolution or a batch norm, go wrong where its input is channels last"
    kind, right = type(layer), layer.forward

    def again(m, x, **params):
        "The layer's own forward with other parameters"
        old = {k: vars(m)['_parameters'][k] for k in params}
        vars(m)['_parameters'].update(params)
        try:
            return kind.forward(m, x)
        finally:
            vars(m)['_parameters'].update(old)

    def forward(x):
        if not last(x):
            return right(x)
        if fault == 'input gradient':
            return right(Wrong.apply(x, lambda g: g * (1 + size)))
        if fault == 'parameter gradient':
            return again(layer, x, weight=Wrong.apply(layer.weight, lambda g: g * (1 + size)))
        if fault == 'bias':
            return again(layer, x, bias=layer.bias * (1 + size))
        y = right(x)
        if fault == 'forward':
            return y * (1 + size)
        if fault == 'only bf16':
            return y * (1 + size) if y.dtype == torch.bfloat16 else y
        if fault == 'only evaluation':
            return y if layer.training else y * (1 + size)
        return {
            'one channel': channel,
            'one sample': sample,
            'border': border,
            'memory position': position,
            'stride at odd sizes': rolled,
        }[fault](y, size)

    layer.forward = forward


class Residual(nn.Module):
    "A block with operations of its own, one of which may go wrong"

    fault = 0.0

    def __init__(self, n):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(n, n, 3, padding=1), nn.BatchNorm2d(n)

    def forward(self, x):
        y, pooled = F.relu(self.bn(self.conv(x))), F.avg_pool2d(x, 3, 1, 1)
        return y + (Wrong.apply(pooled, lambda g: g * (1 + self.fault)) if self.fault and last(x) else pooled)


def trained(model):
    "Batch norms as after training: no scale is 1, no bias is 0"
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, std=0.3)
    return model


def residual():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
        Residual(16),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.SiLU(),
        Residual(32),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def hosts():
    """A plain network with a functional call; the first stages of one with batch norms that write in place,
    and of one with depthwise convolutions"""
    import timm

    def ends(*parts):
        return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(10))

    def regnety():
        m = timm.create_model('regnety_002')
        return ends(m.stem, m.s1, m.s2)

    def mobilenetv2():
        m = timm.create_model('mobilenetv2_035')
        return ends(m.conv_stem, m.bn1, *m.blocks[:3])

    return dict(residual=residual, regnety_002=regnety, mobilenetv2_035=mobilenetv2)


kinds = [
    'forward',
    'input gradient',
    'parameter gradient',
    'bias',
    'one channel',
    'one sample',
    'border',
    'memory position',
    'stride at odd sizes',
    'only bf16',
    'only evaluation',
    'functional',
]
# Numbers in bf16 lie up to 0.8% apart
sizes = [('fp32', 0.001), ('fp32', 0.01), ('fp16', 0.01), ('bf16', 0.03), ('bf16', 0.02), ('bf16', 0.01)]


def target(model, kind, layer_type, x):
    "Path and module, drawn at random among those whose format is not ambiguous and that can show the fault; `None` if there is none"
    if kind == 'functional':
        found = [(k, m) for k, m in model.named_modules() if isinstance(m, Residual)] if layer_type is nn.Conv2d else []
    else:
        found = [(k, m) for k, m in model.named_modules() if isinstance(m, layer_type)][1:]  # The first convolution takes the image
    if kind == 'bias':
        found = [(k, m) for k, m in found if m.bias is not None]
    shapes = {}
    hooks = [m.register_forward_hook(lambda m, _, y, k=k: shapes.update({k: y.shape})) for k, m in found]
    with torch.no_grad():
        model.eval()(x)
    for h in hooks:
        h.remove()
    found = [(k, m) for k, m in found if min(shapes[k][1:]) > 1 and (kind != 'stride at odd sizes' or shapes[k][-1] % 2)]
    return found[int(torch.randint(len(found), ()))] if found else None


def faults():
    "A row for each fault, host and precision, written as it comes"
    from itertools import product

    rows = kept('faults')
    done = {(r['host'], r['fault'], r['layer'], r['amp'], r['size']) for r in rows}
    layers = nn.Conv2d, nn.BatchNorm2d
    for (amp, size), (host, make), (i, kind), layer_type in product(sizes, hosts().items(), enumerate(kinds), layers):
        name = 'avg_pool2d' if kind == 'functional' else layer_type.__name__
        if (host, kind, name, amp, size) in done:
            continue
        torch.manual_seed(i)
        model, x = trained(make()), torch.randn(2, 3, 35, 35)
        model(x)  # Lazy layers see their input
        if (found := target(model, kind, layer_type, x)) is None:
            continue
        path, layer = found
        if kind == 'functional':
            layer.fault = size
        else:
            plant(layer, kind, size)
        acts = kind != 'only bf16' or amp == 'bf16'
        p = channelslast_parity(model, x, amp=amp, train=kind != 'only evaluation', progress=False)
        blamed = sorted({r.path for r in p.differing})
        rows.append(
            dict(
                fault=kind,
                amp=amp,
                host=host,
                layer=name,
                path=path,
                size=size,
                acts=acts,
                found=not p.ok,
                located=blamed == ([path] if acts else []),
                blamed=blamed,
                over=max([r.over for r in p.rows if r.path == path], default=0.0),
                verdict=p.verdict,
                left_out=p.left_out,
            )
        )
        if not rows[-1]['located'] or p.left_out:
            print(rows[-1], flush=True)
        keep('faults', rows)
    return rows


def kept(name):
    "Rows of parity_{name}.json, of an interrupted run or a committed one"
    path = a.path.with_name(f'parity_{name}.json')
    return json.loads(path.read_text(encoding='utf-8'))['rows'] if path.exists() else []


def keep(name, rows):
    "Write them, whole or not at all; each says which version of the code it was made with"
    rows[-1]['instrument'] = version
    path = a.path.with_name(f'parity_{name}.json')
    new = path.with_suffix('.new')
    new.write_text(json.dumps(dict(environment=environment(), rows=rows), indent=1) + '\n', encoding='utf-8')
    new.replace(path)


version = instrument('fastxtend_cl.parity')


tuned = '''
    torchvision: alexnet densenet121 efficientnet_b0 inception_v3 mnasnet0_5 mobilenet_v2 mobilenet_v3_small regnet_x_400mf resnet18
    resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_1 swin_t vit_b_32
    timm: convmixer_768_32 cspresnet50 edgenext_xx_small efficientnet_lite0 efficientvit_b0 fbnetc_100 gernet_s hardcorenas_a lcnet_050
    mixnet_s mobilenetv2_050 mobilenetv4_conv_small mobileone_s0 poolformer_s12 regnety_004 res2net50_14w_8s selecsls42 semnasnet_075
    skresnet18 tf_mobilenetv3_small_minimal_100
    fastai: xresnet18 xresnext18 unet_resnet18 squeezenet1_0 pixelshuffle
'''
held_out = '''
    torchvision: convnext_tiny googlenet mobilenet_v3_large regnet_y_400mf resnet50 shufflenet_v2_x1_5 vgg11_bn
    timm: convnextv2_atto dla34 dla46_c dpn48b eca_resnet33ts ese_vovnet19b_dw fastvit_t8 ghostnet_100 hgnetv2_b0 hrnet_w18_small
    mobilevit_xxs nf_resnet26 repvgg_a0 resnest14d rexnet_100 starnet_s1 tf_efficientnetv2_b0 tinynet_e
    fastai: xse_resnet18 xresnet18_mish unet_selfattention adaptive_concat resnet34
'''


large = '''
    torchvision: resnet18 mobilenet_v2 efficientnet_b0 shufflenet_v2_x1_0 regnet_y_400mf resnet50 googlenet
    timm: mobilenetv4_conv_small
'''
lists = {'tuned': tuned, 'held-out': held_out, 'large': large}


def names(text):
    "Source and name of each architecture of a list"
    source = None
    for o in text.split():
        if o.endswith(':'):
            source = o[:-1]
        else:
            yield source, o


def architectures(half):
    "Source, name, constructor and image size of each architecture of one list"
    import timm, torchvision
    from fastai.vision.all import (
        Mish,
        create_unet_model,
        create_vision_model,
        resnet18,
        squeezenet1_0,
        AdaptiveConcatPool2d,
        PixelShuffle_ICNR,
    )
    from fastai.vision.models import xresnet

    fastai = dict(
        xresnet18=lambda: xresnet.xresnet18(n_out=10),
        xse_resnet18=lambda: xresnet.xse_resnet18(n_out=10),
        xresnext18=lambda: xresnet.xresnext18(n_out=10),
        xresnet18_mish=lambda: xresnet.xresnet18(n_out=10, act_cls=Mish, sa=True),
        unet_resnet18=lambda: create_unet_model(resnet18, 2, (64, 64), pretrained=False),
        unet_selfattention=lambda: create_unet_model(resnet18, 2, (64, 64), pretrained=False, self_attention=True, blur=True),
        squeezenet1_0=lambda: create_vision_model(squeezenet1_0, 10, pretrained=False),
        resnet34=lambda: create_vision_model(torchvision.models.resnet34, 10, pretrained=False),
        adaptive_concat=lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), AdaptiveConcatPool2d(2)),
        pixelshuffle=lambda: nn.Sequential(nn.Conv2d(3, 16, 3), PixelShuffle_ICNR(16, 8, blur=True), nn.Conv2d(8, 3, 3)),
    )
    pixels = dict(inception_v3=96, alexnet=80, vit_b_32=64, dla34=64, dla46_c=64, mobilevit_xxs=64, hrnet_w18_small=64)

    def tv_make(k):
        return lambda: torchvision.models.get_model(
            k,
            num_classes=10,
            **({'init_weights': False, 'aux_logits': False} if k in ('googlenet', 'inception_v3') else {}),
            **({'image_size': 64} if k == 'vit_b_32' else {}),
        )

    def make(source, k):
        return dict(torchvision=tv_make, timm=lambda k: lambda: timm.create_model(k, num_classes=10), fastai=fastai.get)[source](k)

    return [(o, k, make(o, k), 224 if half == 'large' else pixels.get(k, 48)) for o, k in names(lists[half])]


def alarms(half, amps=('bf16', 'fp32'), batches=(2, 1, 8), only=None):
    """A row for each architecture of one list, batch size and precision, written as it comes.
    Rules and thresholds were looked at on 'tuned' only"""
    rows = kept(f'alarms_{half}')
    done = {(r['name'], r['batch'], r['amp']) for r in rows}
    for bs, amp in [(b, a) for b in batches for a in amps]:
        for source, name, make, size in architectures(half):
            if (name, bs, amp) in done or only and name not in only:
                continue
            torch.manual_seed(0)
            x, start = torch.randn(bs, 3, size, size), time.perf_counter()
            row = dict(source=source, name=name, half=half, batch=bs, size=size, amp=amp)
            try:
                p = channelslast_parity(make(), x, amp=amp, progress=False)
                row.update(
                    ok=p.ok,
                    modules=p.modules,
                    tensors=len(p.rows),
                    measured=sum(r.contiguous is not None for r in p.rows),
                    nearest=max([r.over for r in p.rows if r.contiguous is not None], default=0.0),  # Of what was looked at closely
                    differing=[(r.path, r.cls, r.what, r.where, r.error, r.contiguous, r.allowed) for r in p.differing][:5],
                    random=p.random,
                    left_out=p.left_out,
                    verdict=p.verdict,
                )
            except Exception as e:
                row.update(ok=None, error=f'{type(e).__name__}: {e}'[:200])  # Batch norm refuses one pixel of one sample, for instance
            rows.append(row)
            keep(f'alarms_{half}', rows)
            if not row['ok']:
                print(
                    name,
                    bs,
                    amp,
                    f'{time.perf_counter()-start:.0f} s',
                    row.get('verdict', row.get('error')),
                    row.get('left_out') or '',
                    flush=True,
                )
    return rows


tails = dict(
    transposed=lambda: nn.ConvTranspose2d(32, 32, 2, 2),
    conv1x1=lambda: nn.Conv2d(32, 10, 1),
    conv3x3=lambda: nn.Conv2d(32, 32, 3, padding=1),
    nothing=nn.Identity,
    global_pool=lambda: nn.AdaptiveAvgPool2d(1),
    relu=nn.ReLU,
    pool=lambda: nn.AvgPool2d(2),
    batch_norm=lambda: nn.BatchNorm2d(32),
    group_norm=lambda: nn.GroupNorm(4, 32),
)
losses = dict(
    pooled=lambda out: F.cross_entropy(out.flatten(2).mean(2), torch.zeros(len(out), dtype=torch.long)),
    mean=lambda out: out.mean(),
    square=mean_square,
)


def odd(seeds=8):
    """Normalisations between two layers, under losses whose gradient is the same for all pixels, or for all numbers, so that much of it
    cancels out. Images are normal, or half of them zero, with batches of 1, 2 and 8, in fp32"""
    rows = []
    for seed in range(seeds):
        for tail, make in tails.items():
            for norm in (nn.BatchNorm2d(32), nn.GroupNorm(4, 32)):
                torch.manual_seed(seed)
                x = torch.randn((1, 2, 8)[seed % 3], 4, 33, 33)
                model = nn.Sequential(nn.Conv2d(4, 32, 1), norm, make())
                for name, loss in losses.items():
                    p = channelslast_parity(model, x.relu() if seed % 2 else x, loss_func=loss, progress=False)
                    row = dict(seed=seed, tail=tail, norm=type(norm).__name__, loss=name, ok=p.ok, verdict=p.verdict)
                    rows.append(dict(row, nearest=max(r.over for r in p.rows)))
                    if not p.ok:
                        print(rows[-1], flush=True)
        keep('odd', rows)


def cost():
    """What it takes: CPU time as a multiple of a training step's, of steps and parities in turns, and the most memory beyond what a step
    needs; each network, batch and precision in a process of its own"""
    rows = kept('cost')
    done = {(r['name'], r['amp'], r['batch']) for r in rows}
    for n, name, amp in [(n, o, a) for n in (4, 16) for o in ('resnet18', 'resnet50', 'efficientnet_b0') for a in ('fp32', 'bf16')]:
        if (name, amp, n) in done:
            continue
        command = [sys.executable, __file__, 'cost', '--network', name, amp, str(n)]
        out = subprocess.run(command, capture_output=True, text=True, env=child_env(), check=True)
        rows.append(json.loads(out.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
        keep('cost', rows)


def cost_of(name, amp, n, size=128, rounds=5):
    "A row of `cost`, as JSON on a line"
    import torchvision

    torch.manual_seed(0)
    model, x = torchvision.models.get_model(name, num_classes=10), torch.randn(int(n), 3, size, size)

    def step():
        with torch.autocast('cpu', torch.bfloat16, enabled=amp == 'bf16'):
            loss = mean_square(model(x))
        loss.backward()
        model.zero_grad()

    def parity():
        channelslast_parity(model, x, amp=amp, progress=False)

    def seconds(f):
        start = time.process_time()
        f()
        return time.process_time() - start

    step()
    before = memory_mb(peak=True)
    parity()
    memory = dict(more_mb=memory_mb(peak=True) - before, step_mb=before, weights_mb=sum(p.nbytes for p in model.parameters()) / 2**20)
    secs = [(seconds(step), seconds(parity)) for _ in range(rounds)]
    (_, took, _), (_, step_s, _) = (timing().quartiles([o[i] for o in secs]) for i in (1, 0))
    lo, _, hi = timing().quartiles([p / s for s, p in secs])
    row = dict(name=name, amp=amp, batch=int(n), size=size, step_s=step_s, parity_s=took, steps=took / step_s, quartiles=[lo, hi])
    print(json.dumps(dict(row, **memory)))


def table():
    "What was found, in lines"
    for amp, size in sizes:
        rows = [r for r in kept('faults') if (r['amp'], r['size']) == (amp, size)]
        acting, quiet = [r for r in rows if r['acts']], [r for r in rows if not r['acts']]
        print(
            amp,
            size,
            'planted',
            len(acting),
            'found',
            sum(r['found'] for r in acting),
            'in the right layer only',
            sum(r['located'] for r in acting),
            '; without effect',
            len(quiet),
            'quiet',
            sum(r['located'] for r in quiet),
        )
    rows = kept('odd')
    print('odd networks', len(rows), 'false alarms', sum(not r['ok'] for r in rows))
    for half in lists:
        rows = kept(f'alarms_{half}')
        ran = [r for r in rows if r['ok'] is not None]
        print(
            half,
            'architectures',
            len({r['name'] for r in ran}),
            'runs',
            len(ran),
            'false alarms',
            sum(not r['ok'] for r in ran),
            'could not run',
            len(rows) - len(ran),
        )


tiny = '''
    squeezenet1_1 mnasnet0_5 shufflenet_v2_x0_5 mobilenetv2_050 lcnet_050 regnety_004 mobilenetv4_conv_small
    adaptive_concat pixelshuffle xresnet18
'''.split()

if __name__ == '__main__':
    torch.set_num_threads(1)
    if a.what == 'faults':
        faults()
    if a.what in ('tuned', 'held-out'):
        alarms(a.what, batches=a.batches)
    if a.what == 'large':
        alarms('large', batches=(16,))
    if a.what == 'odd':
        odd()
    if a.what == 'cost':
        cost_of(*a.network) if a.network else cost()
    if a.what == 'fp16':
        for half in ('tuned', 'held-out'):
            alarms(half, ('fp16',), (2,), tiny)  # Slow on a CPU
    if a.what != 'cost':
        table()
