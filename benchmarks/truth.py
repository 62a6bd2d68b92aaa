"""Is the summary right? It is held against two other instruments on layers and whole models that truth_cases.py lists: a reading of
the profiler's event tree of its own (all `aten::copy_` whose operands walk their dimensions in different orders, in a step that runs
in training, with hooks on each module), and hooks on leaf modules that compare what goes in with what comes out. For each case:

    false holds    the verdict says "holds", and a leaf module lost the format or an activation was copied between formats
    false alarm    the summary names a place that loses the format, and nothing was lost or copied
    unnamed        a leaf module whose images all came in channels last returned contiguous, and the summary does not name it
    bytes          all bytes of copies differ by over 2%
    bytes of activations   those of copies of activations do

Where this reference is what is wrong, or where the summary cannot know, `reasons` in truth_cases.py says so, case by case; such rows
are listed as `explained`.

Writes results/truth-layers.json or truth-models.json, as `--name` says: the counts, and each case that disagrees, with both sides.

python benchmarks/truth.py --only layers layers3d held_out_layers held_out_layers3d attacked_layers --name truth-layers --commit
python benchmarks/truth.py --only held_out models --name truth-models --commit
# one model once more, the others stay as they are:
python benchmarks/truth.py --only held_out models --name truth-models --commit --again swin_v2_t
"""

from common import arguments, save

kinds = ['layers', 'layers3d', 'held_out_layers', 'held_out_layers3d', 'attacked_layers', 'models', 'held_out']


def more(p):
    p.add_argument('--only', nargs='*', default=kinds, choices=kinds)
    p.add_argument('--name', dest='file', default='truth', help='of the result, without .json')
    p.add_argument('--match', default='', help='only cases with this in their name; nothing is written')
    p.add_argument('--precision', default='', help='only cases of this precision; nothing is written')
    p.add_argument('--again', nargs='*', default=[], help='run the cases of these names once more, and replace them in the results')


if __name__ == '__main__':
    a = arguments(__doc__, 'truth', device=False, parser=more)

import argparse, ast, gc, json, warnings

warnings.filterwarnings('ignore')
from contextlib import nullcontext
from math import prod
import fastai.vision.all, timm, torch, torchvision
import torch.nn.functional as F  # noqa: F401, the layers of truth_cases.py are evaluated with it
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils._pytree import tree_leaves
import truth_cases
from fastxtend_cl.memory_format import apply_channels_last, to_channelslast
from fastxtend_cl.summary import channelslast_summary
import fastai, fastai.layers, timm.layers, torch.utils.checkpoint


def order(shape, stride):
    "'contiguous', 'channels_last', 'ambiguous' or 'other' for rank 4 and 5, else `None`"
    n = len(shape)
    if n not in (4, 5) or 0 in shape:
        return None
    dims = [d for d in range(n) if shape[d] > 1 and stride[d] > 0]
    found = sorted(dims, key=lambda d: -stride[d])
    first, last = [d for d in range(n) if d in dims], [d for d in (0, *range(2, n), 1) if d in dims]
    if found == first == last:
        return 'ambiguous'
    return 'contiguous' if found == first else 'channels_last' if found == last else 'other'


def leaves(x):
    "Tensors in the outputs of any model"
    return [
        o
        for l in tree_leaves(x)
        for o in ([l] if isinstance(l, Tensor) else leaves(vars(l)) if hasattr(l, '__dict__') and not callable(l) else [])
    ]


class Witness:
    "Hooks on each module: ranges for the profiler, and what leaf modules took and gave"

    def __init__(self, model):
        self.model, self.open, self.hooks, self.lost, self.blocks = model, [], [], {}, {}

    def __enter__(self):
        for path, m in self.model.named_modules():

            def before(m, args, path=path):
                self.open.append(record_function(f'module:{path}'))
                self.open[-1].__enter__()

            def after(m, args, kwargs, out, path=path):
                self.open.pop().__exit__(None, None, None)
                if 'parametrizations' not in path and not isinstance(m, (nn.Linear, nn.LayerNorm)):
                    self.compare(path, m, (args, kwargs), out)

            self.hooks += [m.register_forward_pre_hook(before), m.register_forward_hook(after, with_kwargs=True)]
        return self

    def __exit__(self, *_):
        for h in self.hooks:
            h.remove()

    def compare(self, path, m, ins, outs):
        ins = [t for t in leaves(ins) if t.is_floating_point()]
        orders, held = {order(t.shape, t.stride()) for t in ins}, {t.untyped_storage().data_ptr() for t in ins}
        outs = [t for t in leaves(outs) if t.is_floating_point() and t.untyped_storage().data_ptr() not in held]
        found = self.lost if next(m.children(), None) is None else self.blocks
        if 'channels_last' in orders and any(order(t.shape, t.stride()) == 'contiguous' for t in outs):
            found[path] = type(m).__name__ + (', mixed' if 'contiguous' in orders else '')


def reference(model, inputs, amp):
    "Copies that changed the order: (bytes, before, after, of a weight?, module, kernel); and leaf modules that lost the format"
    torch.manual_seed(0)
    shapes, copies, made_by = {tuple(t.shape) for t in (*model.parameters(), *model.buffers())}, [], {}
    with Witness(model) as witness, profile(activities=[ProfilerActivity.CPU], record_shapes=True) as prof:
        with torch.autocast('cpu', dtype=torch.bfloat16) if amp else nullcontext():
            out = model(*inputs)
        outs = [o for o in leaves(out) if o.requires_grad]
        if outs:
            torch.autograd.backward(outs, [torch.ones_like(o) for o in outs])

    def walk(e, module, chain):
        n = getattr(e.typed[1], 'sequence_number', -1)
        if e.name.startswith('module:'):
            module = e.name.removeprefix('module:')
        elif e.name.startswith('autograd::engine::evaluate_function'):
            module = made_by.get(n)
        elif n >= 0:
            made_by[n] = module
        if e.name == 'aten::copy_':
            to, source = e.typed[1].inputs[:2]
            if hasattr(to, 'sizes') and hasattr(source, 'sizes') and list(to.sizes) == list(source.sizes):
                a, b = order(source.sizes, source.strides), order(to.sizes, to.strides)
                if a and a != b and 'ambiguous' not in (a, b):
                    copies.append((prod(to.sizes) * to.dtype.itemsize, a, b, tuple(to.sizes) in shapes, module, chain[-2:]))
        for c in e.children:
            walk(c, module, [*chain, e.name])

    for e in prof.profiler.kineto_results.experimental_event_tree():
        walk(e, '', [])
    return copies, witness.lost, witness.blocks


def compare(name, model, inputs, amp=None, **about):
    "The row of one case: what the summary says, what the others saw"
    apply_channels_last(model)
    inputs = to_channelslast(inputs)
    model.zero_grad()
    torch.manual_seed(0)
    s = channelslast_summary(model, *inputs, amp=amp, train=model.training)
    row = dict(case=name, **about, verdict=s.verdict)
    if s.error:
        return {**row, 'not_run': f'{s.error.module}: {s.error.message}'}
    copies, lost, blocks = reference(model, inputs, amp)
    model.zero_grad()
    images = sum(c[0] for c in copies if not c[3])
    theirs, ours = sum(c[0] for c in copies), sum(r.bytes for r in s.rows)
    dirty = bool(lost) or any({c[1], c[2]} == {'contiguous', 'channels_last'} for c in copies if not c[3])
    named, disagrees = {r.module for r in s.lost if r.phase == 'forward'}, []
    if s.verdict.startswith('Channels last holds') and dirty:
        disagrees.append('false holds')
    if s.lost and not lost and not blocks and not images:
        disagrees.append('false alarm')
    disagrees += [
        f'unnamed: {k} ({v})'
        for k, v in lost.items()
        if not v.endswith('mixed') and not any(n == k or n.startswith(k + '.') for n in named)
    ]
    if abs(ours - theirs) > 0.02 * max(ours, theirs):
        disagrees.append('bytes')
    if abs(s.total_bytes + sum(r.bytes for r in s.rows if r.kind == 'other') - images) > 0.02 * max(images, s.total_bytes):
        disagrees.append('bytes of activations')
    reasons = truth_cases.reasons.get(name, {})
    why = {d: reasons.get(d.split(':')[0]) for d in disagrees}
    explained, disagrees = {d: o for d, o in why.items() if o}, [d for d, o in why.items() if not o]
    if explained:
        row['explained'] = explained
    row.update(
        bytes=ours,
        reference_bytes=theirs,
        activation_bytes=s.total_bytes,
        lost=[f'{r.place} ({r.phase})' for r in s.lost],
        leaves=lost,
        disagrees=disagrees,
    )
    if disagrees:
        row['copies'] = [str(c) for c in copies if not c[3]][:8]
    return row


class Do(nn.Module):
    "A layer from an expression of `x`"

    def __init__(self, text):
        super().__init__()
        self.f = eval(f'lambda x: {text}', globals())

    def forward(self, x):
        return self.f(x)


def halves(x):
    "Copies into slices"
    res = torch.zeros(x.shape)
    res[:, :8] = x[:, :8]
    res[:, 8:] = x[:, 8:]
    return res


def layer(text):
    return Do(text) if any(isinstance(o, ast.Name) and o.id == 'x' for o in ast.walk(ast.parse(text))) else eval(text, globals())


def layer_cases(which):
    "Each layer between two convolutions, before a pool and before a norm, with one image and with two"
    three = which.endswith('3d')
    conv, lazy, norm, pool, shape = (
        (nn.Conv3d, nn.LazyConv3d, nn.LazyBatchNorm3d, nn.AdaptiveAvgPool3d, (4, 12, 12))
        if three
        else (nn.Conv2d, nn.LazyConv2d, nn.LazyBatchNorm2d, nn.AdaptiveAvgPool2d, (12, 12))
    )
    tails = dict(
        convolutions=lambda: [lazy(8, 3, padding=1)],
        pool=lambda: [pool(1), nn.Flatten(), nn.LazyLinear(4)],
        norm=lambda: [norm(), nn.ReLU(), Do('x.flatten(2).mean(2)'), nn.LazyLinear(4)],
    )
    for text in getattr(truth_cases, which):
        for context in tails:
            for bs in (1, 2) if context != 'norm' else (2,):
                for amp, dtype in (
                    (None, torch.float32),
                    *(((None, torch.float64),) if three else ()),
                    *((('bf16', torch.float32),) if bs == 2 and context == 'convolutions' else ()),
                ):

                    def build(text=text, context=context, bs=bs, dtype=dtype):
                        torch.manual_seed(0)
                        model, x = nn.Sequential(conv(3, 16, 3, padding=1), layer(text), *tails[context]()).to(dtype), torch.randn(
                            bs, 3, *shape, dtype=dtype
                        )
                        with torch.no_grad():
                            model(x.clone())
                        return model, (x,)

                    yield text, build, dict(
                        kind=which, context=context, batch=bs, precision=amp or str(dtype).removeprefix('torch.'), amp=amp
                    )


def build_model(name, source, bs):
    "A model with random weights and its inputs; sizes go up until one fits"
    tv, x = torchvision.models, lambda n, frames=None: (torch.randn(bs, 3, *([frames] if frames else []), n, n),)
    if source == 'detection':
        boxes = dict(
            boxes=torch.tensor([[4.0, 4.0, 40.0, 40.0]]), labels=torch.tensor([1]), masks=torch.ones(1, 64, 64, dtype=torch.uint8)
        )
        kwargs = {} if '320' in name and 'ssd' in name else dict(min_size=64, max_size=96)
        return getattr(tv.detection, name)(weights=None, weights_backbone=None, num_classes=3, **kwargs), (
            [torch.rand(3, 64, 64) for _ in range(bs)],
            [dict(boxes) for _ in range(bs)],
        )
    if source == 'segmentation':
        return getattr(tv.segmentation, name)(weights=None, weights_backbone=None, num_classes=3), x(64)
    if source == 'video':
        return getattr(tv.video, name)(weights=None, num_classes=4), x(*((224, 16) if name in ('mvit_v1_b', 's3d') else (64, 4)))
    if source == 'fastai':
        v = fastai.vision.all
        unet = lambda arch, size=(64, 64), **kw: v.create_unet_model(arch, 2, size, pretrained=False, **kw)
        return dict(
            xresnet18=lambda: (v.xresnet18(n_out=10), x(64)),
            xresnet18_sa=lambda: (v.xresnet18(n_out=10, sa=True), x(64)),
            xresnet18_deep=lambda: (v.xresnet18_deep(n_out=10), x(64)),
            xse_resnext18=lambda: (v.xse_resnext18(n_out=10), x(64)),
            unet_resnet18=lambda: (unet(v.resnet18), x(64)),
            unet_resnet18_blur_sa=lambda: (unet(v.resnet18, blur=True, blur_final=True, self_attention=True), x(64)),
            unet_odd=lambda: (unet(v.resnet18, (50, 70)), (torch.randn(bs, 3, 50, 70),)),
            unet_xresnet=lambda: (unet(v.xresnet18), x(64)),
            vision_resnet34=lambda: (v.create_vision_model(v.resnet34, 10, pretrained=False), x(64)),
        )[name]()
    make = (
        (
            lambda: getattr(tv, name)(
                weights=None, num_classes=10, **(dict(init_weights=False) if name in ('googlenet', 'inception_v3') else {})
            )
        )
        if source == 'torchvision'
        else (lambda: timm.create_model(name, num_classes=10))
    )
    model = make().train(bs > 1)
    for n in (64, 96, 128, 224, 256, 299):
        try:
            with torch.no_grad():
                model(*x(n))
        except Exception:
            continue
        return model.train(), x(n)
    raise RuntimeError('no size fits')


def model_cases(which):
    listed = truth_cases.models if which == 'models' else dict(timm=truth_cases.held_out, torchvision=['vgg13', 'resnext50_32x4d'])
    for source, names in listed.items():
        for i, name in enumerate(names):
            for bs, amp in ((2, None), *(((1, None), (2, 'bf16')) if i % 4 == 0 else ())):
                if bs == 1 and source == 'segmentation':
                    continue  # Its pooled batch norm takes no single image
                yield name, lambda name=name, source=source, bs=bs: build_model(name, source, bs), dict(
                    kind=which, source=source, batch=bs, precision=amp or 'float32', amp=amp
                )


def main():
    a.path = a.out or a.path.with_name(f'{a.file}.json')
    gc.freeze()  # The libraries take a second to look through, a case a tenth of that
    rows = earlier(a.path, a.again) if a.again else []
    for which in a.only:
        for name, build, about in (layer_cases if 'layers' in which else model_cases)(which):
            if a.match not in name or (a.again and name not in a.again) or a.precision not in about['precision']:
                continue
            try:
                torch.manual_seed(0)
                model, inputs = build()
                if (
                    about['batch'] == 1
                    and any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
                    and 'layers' not in which
                ):
                    model.eval()
                amp = about.pop('amp')
                rows.append(compare(name, model, inputs, amp, **about))
            except Exception as e:
                rows.append(dict(case=name, **about, not_run=f'{type(e).__name__}: {e}'[:200]))
            r = rows[-1]
            gc.collect()
            if len(rows) % 20 == 0:
                report(rows, a, False)
            if r.get('disagrees') or 'not_run' in r:
                print(
                    *(
                        r.get(k)
                        for k in ('case', 'context', 'batch', 'precision', 'disagrees', 'not_run', 'lost', 'bytes', 'reference_bytes')
                        if r.get(k)
                    ),
                    flush=True,
                )
    report(rows, a, True)


def earlier(path, again):
    "The rows of an earlier run, without those of the cases `again`"
    d = json.loads(path.read_text(encoding='utf-8'))
    key = lambda r: tuple(r.get(k) for k in ('case', 'context', 'batch', 'precision'))
    more = {key(r): r for r in d['explained'] + d['disagree']}
    return [r for r in [dict(r, disagrees=[]) | more.get(key(r), {}) for r in d['cases']] + d['not_run'] if r['case'] not in again]


def report(rows, a, complete):
    "Write what is there"
    ran = [r for r in rows if 'not_run' not in r]
    counts = {
        k: dict(
            cases=len(part := [r for r in ran if r['kind'] == k]),
            different=len({r['case'] for r in part}),
            agree=sum(not r['disagrees'] for r in part),
            explained=sum('explained' in r for r in part),
            not_run=sum(r['kind'] == k for r in rows if 'not_run' in r),
            **{
                what: sum(any(d.startswith(what) for d in r['disagrees']) for r in part)
                for what in ('false holds', 'false alarm', 'unnamed', 'bytes', 'error')
            },
        )
        for k in a.only
    }
    if complete:
        print(json.dumps(counts, indent=1))
    if not a.match and not a.precision:
        save(
            argparse.Namespace(path=a.path),
            complete=complete,
            counts=counts,
            disagree=[r for r in rows if r.get('disagrees')],
            explained=[
                {k: r[k] for k in ('case', 'batch', 'precision', 'activation_bytes', 'explained')} for r in rows if r.get('explained')
            ],
            not_run=[r for r in rows if 'not_run' in r],
            cases=[
                {
                    k: r[k]
                    for k in ('kind', 'case', 'context', 'source', 'batch', 'precision', 'bytes', 'reference_bytes', 'activation_bytes')
                    if k in r
                }
                for r in ran
            ],
        )


if __name__ == '__main__':
    main()
