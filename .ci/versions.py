"""Prove the versions that the metadata promises: for each Python, with the lowest and the newest releases that it allows, build an
environment as a user has it (uv; without nbdev), run all notebooks in it (`.ci/run_notebooks.py`), and note in
benchmarks/results/versions.json which passed, and at which commit. Needs uv, and the Pythons on the PATH (or uv's own).

python .ci/versions.py                                                # all
python .ci/versions.py --python 3.12 --resolution highest
python .ci/versions.py --python 3.12 --resolution highest --with fastai==2.8.4 'plum-dispatch<2.10'   # a row of its own
DIR/bin/python .ci/run_notebooks.py --json FILE nbs/26_summary.ipynb           # some notebooks, in an environment that is there,
python .ci/versions.py --env DIR --resolution lowest-direct --ran FILE         # and its row
"""
import argparse, json, os, re, subprocess, sys, tempfile
from pathlib import Path

root = Path(__file__).resolve().parent.parent
table = root/'benchmarks/results/versions.json'
pythons = re.findall(r'Python :: (3\.\d+)', (root/'pyproject.toml').read_text(encoding='utf-8'))
resolutions = ['lowest-direct', 'highest']
shown = ['torch', 'torchvision', 'fastai', 'fastcore', 'timm', 'numpy']
ask_versions = '''import sys, json, platform
from importlib.metadata import version
print(json.dumps(dict(python=platform.python_version(), **{o:version(o) for o in sys.argv[1:]})))'''

def run(*args, **kwargs):
    return subprocess.run([str(o) for o in args], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)

def environ(exe):
    "Where `exe` and its commands come first, and the checkout is what is tested"
    res = {'OMP_NUM_THREADS':'1', **os.environ, 'MPLBACKEND':'agg', 'PATH':os.pathsep.join([str(exe.parent), os.environ['PATH']])}
    res.pop('PYTHONPATH', None)
    return res

def python_of(env): return Path(env).absolute()/('Scripts/python.exe' if os.name == 'nt' else 'bin/python')

def version_of(exe):
    "Such as 3.12"
    return run(exe, '-c', 'import sys; print("%d.%d" % sys.version_info[:2])', check=True).stdout.strip()

def row_of(exe, resolution, ran, before=None):
    "A row: versions in `exe`, and of each notebook whether it passed and at which commit; `before`: earlier runs in the same"
    versions = json.loads(subprocess.run([str(exe), '-c', ask_versions, *shown], text=True, capture_output=True, check=True).stdout)
    if before and any(before.get(k) != v for k,v in versions.items()): before = None
    notebooks = {**(before or {}).get('notebooks', {}), **{o['notebook']:dict(passed=o['passed'], commit=o['commit']) for o in ran}}
    notebooks = {k:v for k,v in notebooks.items() if k in all_notebooks()}  # Others have another name by now
    return dict(resolution=resolution, **versions, notebooks=notebooks, of=len(all_notebooks()))

def all_notebooks(): return sorted(o.relative_to(root).as_posix() for o in root.glob('nbs/**/*.ipynb'))

def prove(python, resolution, extra=()):
    "Build one environment, run the notebooks in it, and return the row"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as tmp:
        env,clone,out = Path(tmp)/'env',Path(tmp)/'clone',Path(tmp)/'notebooks.json'
        exe = python_of(env)
        steps = [('uv', 'venv', '-q', '--python', python, env),
            ('git', 'clone', '-q', root, clone),
            ('uv', 'pip', 'install', '-q', '--python', exe, '--resolution', resolution, '-e', f'{clone}[test]', *extra),
            (exe, clone/'.ci/run_notebooks.py', '--json', out)]
        for step in steps:
            res = run(*step, cwd=root, env=environ(exe))
            if res.returncode: break
        if res.returncode: print(res.stdout[-5000:])
        if not out.exists(): raise SystemExit(f'no notebook ran: {" ".join(map(str, step))}')
        return row_of(exe, ' '.join([resolution, *extra]), json.loads(out.read_text()))

def passed(row): return all(row['notebooks'].get(o, {}).get('passed') for o in all_notebooks())

def note(key, row):
    "Write `row` into the table"
    rows = json.loads(table.read_text()) if table.exists() else {}
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(json.dumps({**rows, key:row}, indent=1, sort_keys=True)+'\n')
    failed = [k for k,v in row['notebooks'].items() if not v['passed']]
    print({**row, 'notebooks':len(row['notebooks']), 'failed':failed}, flush=True)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--python', nargs='*', default=pythons)
    p.add_argument('--resolution', nargs='*', default=resolutions, choices=resolutions)
    p.add_argument('--with', nargs='*', default=[], dest='extra', help='further requirements, such as fastai==2.8.4')
    p.add_argument('--env', help='an environment that is there: what ran in it is added to its row')
    p.add_argument('--ran', nargs='*', default=[], help='with --env: what .ci/run_notebooks.py --json wrote there')
    a = p.parse_args()
    if a.env:
        exe = python_of(a.env)
        kind = ' '.join([a.resolution[0], *a.extra])
        key = f'{version_of(exe)} {kind}'
        before = json.loads(table.read_text()).get(key) if table.exists() else None
        row = row_of(exe, kind, [o for f in a.ran for o in json.loads(Path(f).read_text())], before)
        note(key, row)
        sys.exit(not passed(row))
    done = []
    for python in a.python:
        for resolution in a.resolution:
            key = ' '.join([python, resolution, *a.extra])
            print(key, flush=True)
            row = prove(python, resolution, a.extra)
            note(key, row)
            done.append(passed(row))
    sys.exit(not all(done))

if __name__ == '__main__': main()
