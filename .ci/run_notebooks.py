"""Run the notebooks as `nbdev-test` does, where nbdev is not installed: with nbclient and ipykernel, and the same cells left out.

python .ci/run_notebooks.py                          # all of nbs/
python .ci/run_notebooks.py nbs/26_summary.ipynb     # some
"""
import argparse, ast, json, os, re, subprocess, sys, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

root = Path(__file__).resolve().parent.parent
# The lessons are written with the newest fastcore's test functions; an older one gets the one that it lacks, for the tests alone
prelude = '''
import fastcore.test as _t
from contextlib import contextmanager as _contextmanager

@_contextmanager
def _expect_fail(exc=Exception, contains='', msg='', regex=''):
    import re
    try: yield
    except exc as e: assert contains in str(e) and re.search(regex, str(e)), f'Expected {contains or regex!r}, but got: {e}. {msg}'
    else: assert False, f'Expected {exc.__name__} but none raised. {msg}'

if not hasattr(_t, 'expect_fail'):
    _t.expect_fail = _expect_fail
    _t.__all__.append('expect_fail')
'''
directive = re.compile(r'^#\|\s*([\w-]+):?\s*(.*?)\s*$', re.M)

def skip_flags():
    "The flags of cells that are not run here, as `pyproject.toml` tells nbdev"
    return set(re.search(r'^tst_flags\s*=\s*"(.*)"', (root/'pyproject.toml').read_text(encoding='utf-8'), re.M)[1].split())

def imports_nbdev(source):
    "Does this cell import nbdev? What it does then is for the pages, and not for the tests"
    try: tree = ast.parse(source)
    except SyntaxError: return False  # A cell with magics
    names = [o.module or '' for o in ast.walk(tree) if isinstance(o, ast.ImportFrom)]
    names += [a.name for o in ast.walk(tree) if isinstance(o, ast.Import) for a in o.names]
    return any(o.split('.')[0] == 'nbdev' for o in names)

def runs(cell, flags):
    "Is `cell` one that `nbdev-test` would run?"
    source = ''.join(cell['source'])
    given = dict(directive.findall(source))
    if cell['cell_type'] != 'code' or given.get('eval', '').lower() == 'false': return False
    return not flags & given.keys() and not imports_nbdev(source)

def commit():
    "The commit of this checkout, with a `+` where files of the library or the notebooks differ from it"
    def git(*args): return subprocess.run(['git', *args], cwd=root, capture_output=True, text=True).stdout.strip()
    changed = git('status', '--porcelain', '--', 'nbs', 'fastxtend_cl')
    return git('rev-parse', '--short=10', 'HEAD') + '+'*bool(changed)

def run(path, flags=None):
    "Run one notebook; its path, whether it passed, seconds, and what went wrong"
    import nbformat
    from nbclient import NotebookClient
    path,start = Path(path).resolve(),time.time()
    nb = nbformat.read(path, as_version=4)
    front = next((''.join(c['source']) for c in nb.cells if c['cell_type'] == 'raw'), '')
    if re.search(r'^skip_exec:\s*true', front, re.M): return path,None,0.,''
    nb.cells = [nbformat.v4.new_code_cell(prelude), *(c for c in nb.cells if runs(c, flags or set()))]
    try: NotebookClient(nb, timeout=600, kernel_name='python3', resources={'metadata': {'path': str(path.parent)}}).execute()
    except Exception as e: return path,False,time.time()-start,str(e)
    return path,True,time.time()-start,''

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('notebooks', nargs='*', default=sorted(root.glob('nbs/**/*.ipynb')))
    p.add_argument('--flags', nargs='*', default=[], help='flags of cells to run that are left out otherwise')
    p.add_argument('--workers', type=int, default=min(os.cpu_count(), 8))
    p.add_argument('--json', help='file to write the outcome of each notebook to')
    a = p.parse_args()
    os.environ.update(IN_TEST='1', PYTHONPATH=os.pathsep.join([str(root), *filter(None, [os.environ.get('PYTHONPATH')])]))
    flags,res,at = skip_flags()-set(a.flags),[],commit()
    with ProcessPoolExecutor(a.workers) as pool:
        for path,ok,secs,error in pool.map(run, a.notebooks, [flags]*len(a.notebooks)):
            if ok is None: continue
            print(f'{"passed" if ok else "FAILED"} {secs:5.1f} s  {path.relative_to(root).as_posix()}', flush=True)
            if error: print(error[-4000:], file=sys.stderr)
            res.append(dict(notebook=path.relative_to(root).as_posix(), passed=ok, commit=at, seconds=round(secs, 1), error=error[-2000:]))
            if a.json: Path(a.json).write_text(json.dumps(res, indent=1), encoding='utf-8')
    failed = sum(not o['passed'] for o in res)
    print(f'{len(res)-failed} passed, {failed} failed')
    sys.exit(failed > 0)

if __name__ == '__main__': main()
