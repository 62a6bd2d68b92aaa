"""The table of models: does it train in channels last, how many bytes does it lose per step and in which operation and module,
is the result the same, and is a step faster? Every model that PyTorch's channels-last tutorial lists, and one small member of
each timm family in timm_models.txt, with random weights. Writes results/models-{device}.jsonl as it goes, and when it is started
again goes on from there, with the models that are missing or were not timed; then results/models-{device}.csv and .html, a page whose columns sort.

python benchmarks/models.py [--device cuda] [--list tutorial] [--only resnet18 convnext_atto] [--rounds 5] [--again] [--table]
"""
import argparse, json, os, time, warnings
warnings.filterwarnings('ignore')
from concurrent.futures import ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from copy import deepcopy
from multiprocessing import get_context
from pathlib import Path
import torch
from torch import nn
from common import environment, interleave, results, speedups

gpu_list = """alexnet mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2 resnet101 resnet152 resnet18 resnet34 resnet50 resnext50_32x4d
shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 vgg11 vgg11_bn vgg13 vgg13_bn vgg16
vgg16_bn vgg19 vgg19_bn wide_resnet101_2 wide_resnet50_2""".split()
cpu_list = """alexnet densenet121 densenet161 densenet169 googlenet inception_v3 mnasnet0_5 mnasnet1_0 resnet101 resnet152 resnet18 resnet34
resnet50 resnext101_32x8d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 vgg11 vgg11_bn vgg13 vgg13_bn
vgg16 vgg16_bn vgg19 vgg19_bn wide_resnet101_2 wide_resnet50_2""".split()
tutorial = sorted({*gpu_list, *cpu_list})
limit = 300  # Seconds for a model
timm_names = (Path(__file__).parent/'timm_models.txt').read_text().split()

def build(name, source):
    "The model with ten classes and without dropout, and the sizes of image to try"
    if source == 'torchvision':
        from torchvision import models as tv
        kwargs = dict(init_weights=False, aux_logits=False) if name in ('googlenet','inception_v3') else {}
        return getattr(tv, name)(num_classes=10, **kwargs), [128] if name=='inception_v3' else [96]
    import timm
    model = timm.create_model(name, num_classes=10)
    cfg = model.default_cfg
    return model, [cfg['input_size'][-1]] if cfg.get('fixed_input_size') else [96, cfg['input_size'][-1]]

def logits(out): return out[0] if isinstance(out, (tuple,list)) else out
def loss_func(out): return nn.functional.cross_entropy(logits(out).float(), torch.arange(len(logits(out)), device=logits(out).device) % 10)

def step(model, x, amp):
    "A function that runs one training step but for the optimizer's, which is the same in both formats"
    dtype = dict(fp16=torch.float16, bf16=torch.bfloat16).get(amp)
    def f():
        with torch.autocast(x.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None): l = loss_func(model(x))
        l.backward()
        for p in model.parameters(): p.grad = None
    return f

def outcome(model, x):
    "Prediction, loss and gradients, from the same random state"
    torch.manual_seed(0)
    model.zero_grad()
    out = logits(model(x))
    l = loss_func(out)
    l.backward()
    return out.detach(), l.item(), [p.grad.clone() for p in model.parameters() if p.grad is not None]

def relative(a, b): return ((a-b).norm()/b.norm().clamp(min=1e-12)).item()

def survey(name, source, device, rounds):
    "The row of one model"
    from fastxtend_cl.memory_format import apply_channels_last, to_channelslast
    from fastxtend_cl.summary import channelslast_summary
    from fastxtend_cl.callback.amp import default_amp_mode
    row = dict(model=name, source=source, gpu_list=name in gpu_list, cpu_list=name in cpu_list)
    torch.manual_seed(0)
    model,sizes = build(name, source)
    model,bs = model.to(device),4 if device=='cpu' else 32
    for m in model.modules():
        if isinstance(m, (nn.Dropout, nn.Dropout2d)): m.p = 0.
        if type(m).__name__ == 'DropPath': m.drop_prob = 0.
    for size in sizes:
        x = torch.randn(bs, 3, size, size, device=device)
        try: loss_func(deepcopy(model)(x)).backward()
        except Exception as e:
            if size == sizes[-1]: raise
        else: break
    last,xl = apply_channels_last(deepcopy(model)),to_channelslast(x)
    s = channelslast_summary(last, xl, loss_func=loss_func)
    row.update(batch=list(x.shape), trains=s.error is None, error=s.error and f"{s.error['module']}: {s.error['message']}", ok=s.ok, bytes=s.bytes, share=s.share,
        worst=[f"{r['kind']} {r['op']} in {r['module']} ({s.types.get(r['module'])}), {r['pass']}" for r in s.inside[:3]], why=s.advice, verdict=s.verdict)
    if s.error: return row
    (a,la,ga),(b,lb,gb) = outcome(deepcopy(model), x),outcome(deepcopy(last), xl)
    row.update(pred_diff=relative(b, a), loss_diff=abs(lb-la), grad_diff=relative(torch.cat([g.flatten() for g in gb]), torch.cat([g.flatten() for g in ga])))
    for amp in (None, default_amp_mode(device)) if rounds else ():
        amp = amp and amp.value
        secs = interleave(dict(contiguous=step(model, x, amp), channels_last=step(last, xl, amp)), rounds, warmup=1, device=device)
        r = speedups(secs, 'contiguous')
        row[amp or 'fp32'] = dict(speedup=r['channels_last']['speedup'], contiguous_s=r['contiguous']['median_s'])
    return row

def table(rows, env, name):
    "Write the rows as CSV and as a page"
    import pandas as pd
    from html import escape
    amp = next((k for k in ('bf16','fp16') if any(k in r for r in rows)), None)
    def cells(r):
        q = lambda k: (r[k]['speedup'][1], ' to '.join(f'{o:.2f}' for o in r[k]['speedup'][::2])) if k in r else (None, None)
        return {'model':r['model'], 'source':r['source'], 'tutorial':' '.join(k for k in ('gpu','cpu') if r.get(f'{k}_list')), 'trains':r.get('trains', False), 'ok':r.get('ok', False),
            'bytes lost a step':r.get('bytes'), 'share of activations':round(r.get('share') or 0, 4), 'fp32 speed-up':q('fp32')[0] and round(q('fp32')[0], 3), 'fp32 quartiles':q('fp32')[1],
            **({f'{amp} speed-up':q(amp)[0] and round(q(amp)[0], 3), f'{amp} quartiles':q(amp)[1]} if amp else {}), 'CUDA':'not measured' if 'cpu' in name else '',
            'gradient difference':r.get('grad_diff') and float(f"{r['grad_diff']:.1e}"), 'where':r.get('error') or '; '.join(r.get('worst', [])[:2])}
    df = pd.DataFrame(map(cells, rows)).sort_values(['source','model'], ascending=[False,True])
    df.to_csv(results/f'{name}.csv', index=False)
    head = f"{len(df)} models on {env['device']}, {', '.join([str(env['threads'])+' threads', *env['cpu_features']])}, torch {env['torch']}, torchvision {env['torchvision']}, timm {env['timm']}, fastxtend_cl {env['fastxtend_cl']}. Batches of 4 images. Speed-up: step time contiguous over channels last, median and quartiles of interleaved rounds; empty where it was not timed. Click a heading to sort."
    script = "document.querySelectorAll('th').forEach((th,i)=>th.onclick=()=>{const b=th.closest('table').tBodies[0],d=th.d=-(th.d||-1);const v=r=>r.cells[i].innerText,n=x=>parseFloat(x);[...b.rows].sort((p,q)=>d*(isNaN(n(v(p)))||isNaN(n(v(q)))?v(p).localeCompare(v(q)):n(v(p))-n(v(q)))).forEach(r=>b.append(r))})"
    style = 'body{font:14px sans-serif;margin:2em}th{cursor:pointer;text-align:left;position:sticky;top:0;background:#fff}td,th{padding:.2em .7em;border-bottom:1px solid #ddd}'
    (results/f'{name}.html').write_text(f'<!doctype html><meta charset="utf-8"><title>Models in channels last</title><style>{style}</style><h1>Models in channels last</h1><p>{escape(head)}</p>{df.to_html(index=False, border=0, na_rep="")}<script>{script}</script>\n')
    return df

def main():
    from fastprogress.fastprogress import progress_bar
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--device', default='cpu', choices=['cpu','cuda'])
    p.add_argument('--only', nargs='*')
    p.add_argument('--list', choices=['tutorial','all'], default='all', help="the tutorial's models only, or all")
    p.add_argument('--rounds', type=int, default=5, help='rounds of timing; 0 for none')
    p.add_argument('--again', action='store_true', help='summarise all again, and keep the times')
    p.add_argument('--table', action='store_true', help='only write the table from what is there')
    a = p.parse_args()
    env,name = environment(a.device),f'models-{a.device}'
    results.mkdir(exist_ok=True)
    path = results/f'{name}.jsonl'
    rows = {r['model']:r for r in map(json.loads, path.read_text().splitlines())} if path.exists() else {}
    if a.again: a.rounds = 0
    done = {k for k,r in rows.items() if not a.again and ('fp32' in r or not r['trains'] or not a.rounds)}
    todo = [(m,'torchvision') for m in tutorial] + [(m,'timm') for m in timm_names if m not in tutorial]
    todo = [] if a.table else [o for o in todo if o[0] not in done and (not a.only or o[0] in a.only) and (a.list == 'all' or o[0] in tutorial)]
    pool = ProcessPoolExecutor(1, get_context('spawn'))
    for m,source in progress_bar(todo):
        try: row = pool.submit(survey, m, source, a.device, a.rounds).result(timeout=limit)
        except KeyboardInterrupt: raise
        except BaseException as e:  # One bad model, even one that kills the process, is a row
            row = dict(model=m, source=source, gpu_list=m in gpu_list, cpu_list=m in cpu_list, trains=False, error=f'{type(e).__name__}: {str(e)[:200]}')
            if isinstance(e, BrokenProcessPool): row['error'] = 'PyTorch crashed, and killed the process'
            if isinstance(e, TimeoutError): row['error'] = f'not done within {limit} seconds'
            if isinstance(e, (BrokenProcessPool, TimeoutError)):
                for proc in (pool._processes or {}).values(): proc.kill()
                pool = ProcessPoolExecutor(1, get_context('spawn'))
        times = {k:v for k,v in rows.get(m, {}).items() if a.again and k in ('fp32','bf16','fp16')}
        rows[m] = dict(row, **times, environment=env)
        with path.open('a') as f: f.write(json.dumps(rows[m])+'\n')
    path.write_text(''.join(json.dumps(r)+'\n' for r in rows.values()))  # A model that was timed later has one row, not two
    df = table([*rows.values()], env, name)
    print(df.describe(include='all').to_string())

if __name__ == '__main__': main()
