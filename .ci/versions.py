"""Prove the versions that settings.ini promises: for each Python, with the lowest and the newest releases it allows,
build an environment with uv, run the README's test command in a clone, and note what happened in
benchmarks/results/versions.json. Needs uv, and the Pythons on the PATH (or uv's own).

python .ci/versions.py                          # all
python .ci/versions.py --python 3.12 --resolution highest
"""
import argparse, json, os, subprocess, sys, tempfile
from configparser import ConfigParser
from pathlib import Path

root = Path(__file__).resolve().parent.parent
table = root/'benchmarks/results/versions.json'
settings = ConfigParser(delimiters=['='], interpolation=None)
settings.read(root/'settings.ini', encoding='utf-8')
pythons = settings['DEFAULT']['python_versions'].split()
resolutions = ['lowest-direct', 'highest']
shown = ['torch', 'torchvision', 'fastai', 'fastcore', 'nbdev', 'timm', 'numpy']

def run(*args, **kwargs): return subprocess.run([str(o) for o in args], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)

def prove(python, resolution, skip=''):
    "Build one environment, run the notebooks in it, and return the row: versions, whether all passed, and the end of the log if not"
    with tempfile.TemporaryDirectory() as tmp:
        env,clone = Path(tmp)/'env',Path(tmp)/'clone'
        steps = [('uv', 'venv', '-q', '--python', python, env),
                 ('git', 'clone', '-q', root, clone),
                 ('uv', 'pip', 'install', '-q', '--python', env/'bin/python', '--resolution', resolution, '-e', f'{clone}[dev]'),
                 (env/'bin/nbdev-test',)]
        for step in steps:
            res = run(*step, cwd=clone if step is steps[-1] else root, env={'OMP_NUM_THREADS':'1', **os.environ, 'MPLBACKEND':'agg', 'PATH':f'{env}/bin:{os.environ["PATH"]}'})
            if res.returncode: break
        code = 'import sys,json,platform\nfrom importlib.metadata import version\nprint(json.dumps(dict(python=platform.python_version(), **{o:version(o) for o in sys.argv[1:]})))'
        found = run(env/'bin/python', '-c', code, *shown)
        versions = json.loads(found.stdout) if found.returncode == 0 else dict(python=python)
        if res.returncode: print(res.stdout[-5000:])
        return dict(resolution=resolution, **versions, notebooks=len([*root.glob('nbs/**/*.ipynb')]), passed=res.returncode == 0, log='' if res.returncode == 0 else res.stdout.replace(tmp, '')[-2000:])

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--python', nargs='*', default=pythons)
    p.add_argument('--resolution', nargs='*', default=resolutions, choices=resolutions)
    a = p.parse_args()
    rows = json.loads(table.read_text()) if table.exists() else {}
    for python in a.python:
        for resolution in a.resolution:
            print(f'Python {python}, {resolution}', flush=True)
            rows[f'{python} {resolution}'] = row = prove(python, resolution)
            table.parent.mkdir(parents=True, exist_ok=True)
            table.write_text(json.dumps(rows, indent=1, sort_keys=True)+'\n')
            print({k:v for k,v in row.items() if k != 'log'}, flush=True)
    sys.exit(not all(rows[f'{v} {r}']['passed'] for v in a.python for r in a.resolution))

if __name__ == '__main__': main()
