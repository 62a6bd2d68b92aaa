"What the benchmarks share: their arguments, where a result goes, what it ran on, and times that are taken again until they are quiet"
import argparse, ast, hashlib, inspect, json, math, os, platform, sys, textwrap, time
from concurrent.futures import ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

here = Path(__file__).resolve().parent
results,local = here/'results',here/'local'  # What is committed, and what is tried (ignored by git)
quiet = 1.15  # Upper over lower quartile of a speed-up: above it, something else ran

# ---- Arguments. A script parses them before its imports, so that --help is quick and runs nothing

def arguments(doc, name, device=True, minutes=False, parser=None, **numbers):
    "Parse the command line of the benchmark `name`; `numbers` are its settings with their defaults; `parser` adds what else it takes"
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--commit', action='store_true', help='write (and go on with) the result in results/, not a trial in local/')
    p.add_argument('--out', type=Path, help='write there instead')
    if device: p.add_argument('--device', default='cpu', choices=['cpu','cuda'])
    if minutes: p.add_argument('--minutes', type=float, default=math.inf, help='begin nothing new after this time; run it again to go on')
    for k,v in numbers.items(): p.add_argument(f'--{k}', type=type(v), default=v, help=f'(default: {v})')
    if parser: parser(p)
    a = p.parse_args()
    a.name = f'{name}-{a.device}' if device else name
    a.path = a.out or (results if a.commit else local)/f'{a.name}.json'
    a.path.parent.mkdir(parents=True, exist_ok=True)
    a.began = time.monotonic()
    return a

def settings(a):
    "The arguments that decide what is measured, as a result notes them"
    return {k:v for k,v in vars(a).items() if k not in ('commit','out','minutes','name','path','began','only','table','parts','limit')}

def while_time(todo, a):
    "Yield from `todo`, saying how far it is, until `--minutes` are over"
    of = f'/{len(todo)}' if hasattr(todo, '__len__') else ''
    for i,o in enumerate(todo):
        if time.monotonic()-a.began > a.minutes*60: return print(f'time is up after {i}{of}: the same command goes on')
        yield o
        print(f'{(time.monotonic()-a.began)/60:5.1f} min  {i+1}{of}  {o}', flush=True)

class Failed(Exception): "What was measured killed its process, or took too long"

class Worker:
    "A process that measures one thing after the other, and is replaced if one kills it or takes more than `limit` seconds"
    def __init__(self, limit=600): self.limit,self.pool = limit,None

    def __call__(self, f, *args):
        if self.pool is None: self.pool = ProcessPoolExecutor(1, get_context('spawn'))
        try: return self.pool.submit(f, *args).result(timeout=self.limit)
        except BrokenProcessPool: reason = 'PyTorch crashed, and killed the process'
        except TimeoutError: reason = f'not done within {self.limit:.0f} seconds'
        self.stop()
        raise Failed(reason)

    def stop(self):
        "End the process; the next call starts another"
        for p in (getattr(self.pool, '_processes', None) or {}).values(): p.kill()
        self.pool = None

# ---- What it ran on

def _version(name):
    try: return version(name)
    except PackageNotFoundError: return None

def _cpu():
    "The CPU's name"
    info = Path('/proc/cpuinfo')
    names = [l.split(':')[1].strip() for l in info.read_text().splitlines() if l.startswith('model name')] if info.exists() else []
    return (names or [platform.processor() or platform.machine()])[0]

def environment(device='cpu'):
    "Machine, CPU features or GPU, and versions"
    import torch
    gpu = torch.device(device).type == 'cuda'
    caps = torch.cpu.get_capabilities() if hasattr(torch.cpu, 'get_capabilities') else {}
    name = torch.cuda.get_device_name() if gpu else _cpu()
    return dict(device=name, cores=os.cpu_count(), threads=torch.get_num_threads(), system=platform.system(),
        cpu_features=[k for k in ('avx2','avx512_f','avx512_bf16','avx512_fp16','amx_bf16') if caps.get(k)],
        cuda=torch.version.cuda if gpu else None, cudnn=torch.backends.cudnn.version() if gpu else None, python=platform.python_version(),
        **{o:_version(o) for o in ('torch','torchvision','fastai','fastcore','timm','fastxtend_cl')})

def machine(env):
    "One line of an environment"
    versions = [f'{k} {env[k]}' for k in ('torch','torchvision','timm') if env.get(k)]
    return ', '.join([env['device'], f"{env['threads']} thread{'s'*(env['threads'] > 1)}", *env['cpu_features'], *versions])

def memory_mb(peak=False):
    "Megabytes of this process in memory, or the most it ever had; `None` where nothing says so (Windows, and without `peak` macOS)"
    if peak:
        try: import resource
        except ImportError: return None
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/(2**20 if sys.platform == 'darwin' else 2**10)
    statm = Path('/proc/self/statm')
    return int(statm.read_text().split()[1])*os.sysconf('SC_PAGE_SIZE')/2**20 if statm.exists() else None

def child_env(**kwargs):
    "Environment of a process that finds this library and the benchmarks"
    return {**os.environ, 'PYTHONPATH':os.pathsep.join([str(here), str(here.parent), os.environ.get('PYTHONPATH', '')]), **kwargs}

# ---- Which version of an instrument measured a row

def _plain(tree):
    "The syntax tree as text, without docstrings and positions: comments and layout do not count"
    for n in ast.walk(tree):
        body = getattr(n, 'body', None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant): first.value.value = None
    return ast.dump(tree)

def _needs(module, seen):
    "`module` and all that it imports from this package, by name"
    if module in seen or not (spec := find_spec(module)) or not spec.origin: return seen
    seen[module] = tree = ast.parse(Path(spec.origin).read_text(encoding='utf-8'))
    for n in ast.walk(tree):
        if isinstance(n, ast.ImportFrom) and n.module and (n.level or n.module.startswith('fastxtend_cl')):
            _needs(f"{module.rsplit('.', n.level)[0]}.{n.module}" if n.level else n.module, seen)
    return seen

def instrument(*measures):
    "Short hash of the code of `measures`: modules by name, with all that they import of this package, and functions"
    trees = {}
    for o in measures:
        if isinstance(o, str): _needs(o, trees)
        else: trees[o.__name__] = ast.parse(textwrap.dedent(inspect.getsource(o)))
    return hashlib.sha1(''.join(_plain(trees[k]) for k in sorted(trees)).encode()).hexdigest()[:10]

# ---- Results

def _write(path, text):
    "Write `text` whole or, if interrupted, not at all"
    new = path.with_suffix('.new')
    new.write_text(text, encoding='utf-8')
    new.replace(path)

def _read(path): return json.loads(path.read_text(encoding='utf-8')) if path.exists() else {}

def _about(a): return dict(environment=environment(getattr(a, 'device', 'cpu')), arguments=settings(a))

def save(a, **kwargs):
    "Write a result that one run makes, with what it ran on and its arguments"
    _write(a.path, json.dumps(dict(_about(a), **kwargs), indent=1)+'\n')
    print(a.path)

def begun(a):
    "The rows that an interrupted run of the same machine, versions and arguments has saved"
    old = _read(a.path)
    return old.get('rows', []) if all(old.get(k) == v for k,v in _about(a).items()) else []

class Rows:
    "Rows of many runs, saved one by one: a file holds the `runs` (environment, arguments) and the rows, each part of which names its run"
    def __init__(self, a, key):
        self.path,self.key,self.about,old = a.path,key,lambda: _about(a),_read(a.path)
        self.runs,self.rows = old.get('runs', []),{key(r):r for r in old.get('rows', [])}

    def __contains__(self, key): return key in self.rows
    def __iter__(self): return iter(self.rows.values())
    def get(self, key): return self.rows.get(key, {})

    @property
    def run(self):
        "Index of this run, noted when it makes its first row"
        now = self.about()
        if now not in self.runs: self.runs.append(now)
        return self.runs.index(now)

    def add(self, row):
        "Put in `row`, in place of an older one with its key, and save"
        self.rows[self.key(row)] = row
        self.save()

    def save(self):
        lines = ',\n'.join(json.dumps(r) for r in self)
        _write(self.path, f'{{"runs": {json.dumps(self.runs, indent=1)},\n"rows": [\n{lines}\n]}}\n')

# ---- Times

def timing():
    "The library's functions that time: the one place that says where they are"
    from fastxtend_cl import timing
    return timing

def spread(q): return q[2]/q[0] if q[0] > 0 else math.inf

def speedups(secs, base):
    "Quartiles over the rounds of how many times faster than `base` each is; and the median seconds of each"
    quartiles = timing().quartiles
    return {k:dict(speedup=quartiles([b/o for b,o in zip(secs[base], v)]), median_s=quartiles(v)[1]) for k,v in secs.items()}

def until_quiet(fns, base, rounds=9, budget=math.inf, tries=3, warmup=1, device='cpu'):
    "`speedups` of `fns`, timed in turns until all quartiles are within `quiet`; the tightest of `tries` of `budget` seconds if none is"
    longest = max(timing().seconds(f, device) for _ in range(warmup) for f in fns.values())
    best,warm = None,longest < .5  # Long steps bring their own data and kernels
    for i in range(tries):
        secs = timing().interleave(fns, rounds, budget=budget, device=device, warm=warm)
        found = speedups(secs, base)
        wide = max(spread(o['speedup']) for o in found.values())
        if best is None or wide < best[0]: best = wide,found,len(secs[base])
        if wide <= quiet: break
    wide,found,n = best
    return dict(times=found, rounds=n, tries=i+1, quiet=wide <= quiet)
