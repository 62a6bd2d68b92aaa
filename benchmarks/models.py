"""The survey of models: does each train in channels last, how many bytes does a step convert inside it and where, is the result the
same, and is a step faster? All models that PyTorch's channels-last tutorial lists, and one small member of each timm family in
timm_models.txt, with random weights. Two surveys:

  small   batches of 4 images, of 96 pixels where the model takes them: all models
  train   batches of 16 images of 128 pixels, as people train: times only, of the models in train_models.txt

Rows are saved one by one in models-{device}.json and models-train-{device}.json, and the next start goes on: with what is missing, then
with what was disturbed (quartiles of a speed-up further apart than 1.15x), worst first, then with what was measured by an older
version of the summary or of the timing. At the end a CSV, and a page whose columns sort.

python benchmarks/models.py --commit --parts summary                  # bytes and results: may run on a busy machine
python benchmarks/models.py --commit --parts times --minutes 15       # times: nothing else may run
python benchmarks/models.py --commit --survey train --minutes 20
"""
from common import Failed, Rows, Worker, arguments, instrument, quiet, spread, timing, until_quiet, while_time
def more(p):
    p.add_argument('--survey', default='small', choices=['small','train'])
    p.add_argument('--parts', nargs='*', default=['summary','times'], choices=['summary','times'],
        help="what to measure (default: both; of 'train' the times)")
    p.add_argument('--only', nargs='*', help='names of models')
    p.add_argument('--table', action='store_true', help='only write the table from what is there')
if __name__ == '__main__': a = arguments(__doc__, 'models', minutes=True, parser=more, rounds=7, seconds=6., tries=3, limit=300.)

import warnings
warnings.filterwarnings('ignore')
from copy import deepcopy
import nets, torch
from nets import build, cpu_list, gpu_list, loss_func, names, outcome, relative, step
from models_table import table

def batch(model, sizes, survey, device):
    "A batch of the survey that `model` takes, of the first size that works"
    bs,sizes = (16,[128]) if survey == 'train' else (4 if device == 'cpu' else 32, sizes)
    for size in sizes:
        x = torch.randn(bs, 3, size, size, device=device)
        try: loss_func(deepcopy(model)(x)).backward()
        except Exception:
            if size == sizes[-1]: raise
        else: return x

def both(model, x):
    "`model` and `x` as they are and in channels last"
    from fastxtend_cl.memory_format import apply_channels_last, to_channelslast
    return (model,x), (apply_channels_last(deepcopy(model)),to_channelslast(x))

def summarise(model, x):
    "What the summary says of a step, and how far prediction, loss and gradients are from the contiguous ones"
    from fastxtend_cl.summary import channelslast_summary
    (model,x),(last,xl) = both(model, x)
    s = channelslast_summary(last, xl, loss_func=loss_func)
    worst = [dict(kind=r.kind, op=r.op, module=r.module, type=s.types.get(r.module, ''), stage=r.phase, bytes=r.bytes)
        for r in s.inside[:3]]
    error = s.error and f'{s.error.module}: {s.error.message}'
    res = dict(trains=s.error is None, error=error, ok=s.ok, bytes=s.bytes, share=s.bytes/max(1, s.activation_bytes), worst=worst,
        advice=s.advice, verdict=s.verdict)
    if s.error: return res
    (a,la,ga),(b,lb,gb) = outcome(model, x),outcome(last, xl)
    return dict(res, pred_diff=relative(b, a), loss_diff=abs(lb-la), grad_diff=relative(gb, ga))

def time(model, x, amp, a):
    "How many times faster than contiguous a step is in channels last, in precision `amp`"
    (model,x),(last,xl) = both(model, x)
    fns = dict(contiguous=step(model, x, amp), channels_last=step(last, xl, amp))
    r = until_quiet(fns, 'contiguous', a.rounds, a.seconds, a.tries, device=a.device)
    t = r['times']
    return dict(speedup=t['channels_last']['speedup'], contiguous_s=t['contiguous']['median_s'], rounds=r['rounds'], tries=r['tries'])

def measure(name, source, part, shape, a):
    "The batch's shape, and one part of the row of a model: its summary, or its times in a precision. In a process of its own"
    model,sizes = build(name, source)
    model = model.to(a.device)
    x = torch.randn(shape, device=a.device) if shape else batch(model, sizes, a.survey, a.device)
    return [*x.shape], summarise(model, x) if part == 'summary' else time(model, x, part, a)

def instruments():
    "Versions of what measures each part"
    timed = instrument(timing().interleave, timing().seconds, nets.step)
    return dict(summary=instrument('fastxtend_cl.summary'), fp32=timed, bf16=timed, fp16=timed)

def todo(rows, a, by):
    "Parts to measure: what is missing; what was disturbed, worst first; what an older version measured"
    from fastxtend_cl.callback.amp import default_amp_mode
    half = default_amp_mode(a.device)
    chosen = names('train_models.txt') if a.survey == 'train' else sorted({*gpu_list, *cpu_list}) + names('timm_models.txt')
    models = [(m,nets.source_of(m)) for m in dict.fromkeys(chosen)]
    parts = ['summary']*('summary' in a.parts and a.survey == 'small') + ['fp32', *([half.value] if half else [])]*('times' in a.parts)
    all_ = [(m,s,p) for m,s in models for p in parts if not a.only or m in a.only]
    def trains(m): return rows.get(m).get('summary', {}).get('trains', True)
    all_ = [o for o in all_ if o[2] == 'summary' or trains(o[0])]
    def found(o): return rows.get(o[0]).get(o[2])
    def wide(o): return spread(found(o)['speedup']) if found(o) and 'speedup' in found(o) else 0
    missing = [o for o in all_ if not found(o) and o[2] not in rows.get(o[0]).get('errors', {})]
    disturbed = sorted((o for o in all_ if wide(o) > quiet), key=wide, reverse=True)
    old = [o for o in all_ if found(o) and wide(o) <= quiet and found(o)['by'] != by[o[2]]]
    return missing+disturbed+old

def main():
    a.name = f"models{'-train'*(a.survey == 'train')}-{a.device}"
    if not a.out: a.path = a.path.with_name(f'{a.name}.json')
    rows,by,worker = Rows(a, lambda r: r['model']),instruments(),Worker(a.limit)
    for m,source,part in while_time([] if a.table else todo(rows, a, by), a):
        try: shape,new = worker(measure, m, source, part, rows.get(m).get('batch'), a)
        except Failed as e: shape,new = None,dict(trains=False, error=str(e))
        except Exception as e: shape,new = None,dict(trains=False, error=f'{type(e).__name__}: {str(e)[:200]}')
        row = dict(dict(model=m, source=source, gpu_list=m in gpu_list, cpu_list=m in cpu_list), **rows.get(m))
        old,new = row.get(part),dict(new, by=by[part], run=rows.run)
        if old and old['by'] == new['by'] and 'speedup' in new and spread(old['speedup']) < spread(new['speedup']):
            new = dict(old, tries=old['tries']+new['tries'])
        if part != 'summary' and 'error' in new: row['errors'] = dict(row.get('errors', {}), **{part:new['error']})
        else: row[part] = new
        if shape: row['batch'] = shape
        rows.add(row)
    if rows.rows: print(len(table(rows, a)), 'models', a.path)

if __name__ == '__main__': main()
