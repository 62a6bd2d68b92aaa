"""What a reader of the source would trip over, one line each; exits with 1 if there is any.

pyflakes findings and lines over 140 characters in code, private names imported across modules, notebook cells that mix an import with code
of other cells, exported cells over 40 lines, notebooks that share a number, text in a cell with the title (nbdev's pages drop it), relative
links that lead nowhere.

python .ci/check.py
"""
import ast, builtins, json, re, subprocess, sys
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

root = Path(__file__).resolve().parent.parent
lib = 'fastxtend_cl'
widest,longest = 140,40

def tracked(*globs):
    names = subprocess.check_output(['git', 'ls-files', '--', *globs], cwd=root, text=True).splitlines()
    return [root/o for o in names if (root/o).exists()]
def name(path): return path.relative_to(root).as_posix()

def cells(path, kind='code'):
    "Number and source of the cells of a notebook"
    for i,c in enumerate(json.loads(path.read_text(encoding='utf-8'))['cells']):
        if c['cell_type'] == kind: yield i,''.join(c['source'])

def parsed(source):
    "The tree of a cell; `None` for one with magics"
    try: return ast.parse(source)
    except SyntaxError: return None

def is_import(node): return isinstance(node, (ast.Import, ast.ImportFrom))

def overloads(tree):
    "Lines of functions whose name may be used again: transforms chosen by type, and methods that fastcore's `patch` moves to their class"
    funcs = [o for o in ast.walk(tree) if isinstance(o, ast.FunctionDef)]
    patched = lambda o: any(ast.unparse(d).startswith('patch') for d in o.decorator_list)
    meant = [o for o in funcs if o.name in ('encodes','decodes','setups') or patched(o)]
    return {n for o in meant for n in range(min([o.lineno, *(d.lineno for d in o.decorator_list)]), o.lineno+1)}

def flakes(path):
    "pyflakes findings. Names from a star import are looked up in the module that it imports; `# noqa` on a line says that it is meant"
    from pyflakes import checker, messages as m
    source = path.read_text(encoding='utf-8')
    lines,exported = source.splitlines(),path.is_relative_to(root/lib)
    package,tree = '.'.join(path.relative_to(root).parent.parts),ast.parse(source)
    meant = overloads(tree)
    for o in sorted(checker.Checker(tree, filename=str(path)).messages, key=lambda o: o.lineno):
        if '# noqa' in lines[o.lineno-1] or isinstance(o, m.ImportStarUsed): continue
        if isinstance(o, m.UnusedImport) and ('*' in lines[o.lineno-1] or path.name == 'all.py'): continue  # These pass names on
        if isinstance(o, m.RedefinedWhileUnused) and o.message_args[1] in meant: continue
        if isinstance(o, m.ImportStarUsage):
            known,stars = o.message_args
            if not exported or any(hasattr(import_module(s, package), known) for s in stars.split(', ')): continue
        yield f'{name(path)}:{o.lineno}: {o.message % o.message_args}'

def private_imports(path):
    "Private names of another module of the package"
    for o in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if not (isinstance(o, ast.ImportFrom) and (o.level or (o.module or '').split('.')[0] == lib)): continue
        for a in o.names:
            if re.match('_(?!_|modidx$)', a.name): yield f'{name(path)}:{o.lineno}: imports the private name {a.name}'

def long_lines(path):
    "Lines of code over 140 characters, in a script or the cells of a notebook"
    sources = cells(path) if path.suffix == '.ipynb' else [(None, path.read_text(encoding='utf-8'))]
    for i,source in sources:
        where = name(path) if i is None else f'{name(path)}: cell {i}'
        for n,line in enumerate(source.splitlines(), 1):
            if len(line) > widest: yield f'{where}, line {n}: {len(line)} characters'

def long_cells(path):
    "Exported cells over 40 lines"
    for i,source in cells(path):
        n = len(source.splitlines())
        if n > longest and re.search(r'^#\|\s*exports?\b', source, re.M): yield f'{name(path)}: cell {i}: {n} exported lines'

def same_number(path):
    "Notebooks beside this one that begin with its number"
    number = re.match(r'\d+_', path.name)
    for o in sorted(path.parent.glob(f'{number[0]}*.ipynb')) if number else ():
        if o.name > path.name: yield f'{name(path)}: {o.name} has the same number'

def lost_text(path):
    "What stands in the cell of title and subtitle besides: nbdev makes that cell the head of a page, and drops the rest"
    title = next((o for _,o in cells(path, 'markdown')), '')
    if len(re.split(r'\n\s*\n', title.strip())) > 2: yield f'{name(path)}: the cell with the title has more text than a subtitle'

def own_names(tree):
    "What a cell defines or imports itself"
    res = set()
    for o in ast.walk(tree):
        if isinstance(o, ast.Name) and not isinstance(o.ctx, ast.Load): res.add(o.id)
        elif isinstance(o, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)): res.add(o.name)
        elif isinstance(o, ast.arg): res.add(o.arg)
        elif isinstance(o, ast.ExceptHandler) and o.name: res.add(o.name)
        elif is_import(o):
            for a in o.names:
                if a.name == '*': res |= set(public(o))
                else: res.add((a.asname or a.name).split('.')[0])
    return res

def shared_names(tree):
    "What a cell defines or imports for those after it: nothing that is inside a function or a class"
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {n for o in tree.body for n in ([o.name] if isinstance(o, inner) else own_names(o))}

def public(star):
    "The names that a star import brings"
    mod = import_module(star.module)
    return getattr(mod, '__all__', None) or [k for k in vars(mod) if k[0] != '_']

def mixed_cells(path):
    "Cells that nbdev runs alone when it makes the pages, because they import something, and that need what other cells define"
    known = {*dir(builtins), 'get_ipython', 'display'}
    for i,source in cells(path):
        given = dict(re.findall(r'^#\|\s*([\w-]+):?\s*(.*?)\s*$', source, re.M))
        tree = parsed(source)
        if tree is None or given.get('eval') == 'false' or 'nbdev_export()' in source: continue
        exported = given.keys() & {'export','exports','exporti'}
        if not exported and not any(is_import(o) for o in ast.walk(tree)): continue
        needs = {o.id for o in ast.walk(tree) if isinstance(o, ast.Name)} - known - own_names(tree)
        known |= shared_names(tree)
        names = ', '.join(sorted(needs))
        if needs and not exported: yield f'{name(path)}: cell {i} mixes an import with code that needs {names} of other cells'

fence = re.compile(r'^(```|~~~).*?^\1', re.M|re.S)
link = re.compile(r'''!?\[[^]]*\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)|(?:src|href)=["']([^"']+)["']''')

def texts(path):
    "The markdown of a file, without its code"
    text = '\n\n'.join(s for _,s in cells(path, 'markdown')) if path.suffix == '.ipynb' else path.read_text(encoding='utf-8')
    return re.sub(r'`[^`\n]*`', lambda m: m[0] if '](' not in m[0] else '', fence.sub('', text))

def anchors(path):
    "The anchors of the headings of a file, as GitHub and Quarto write them"
    heads = re.findall(r'^#{1,6}\s+(.+?)\s*(?:\{#([\w-]+)[^}]*\})?\s*$', texts(path), re.M)
    slug = lambda s: re.sub(r'[^\w\- ]', '', re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', s).lower()).strip().replace(' ', '-')
    return {slug(h) for h,_ in heads} | {a for _,a in heads if a}

def broken_links(path):
    "Relative links to a file or a heading that is not there"
    for m in link.finditer(texts(path)):
        target = unquote(m[1] or m[2])
        if re.match(r'[a-z][a-z0-9+.-]*:|//', target): continue  # Another site, or an attachment
        file,_,anchor = target.partition('#')
        there = (path.parent/file).resolve() if file else path
        if not there.exists(): yield f'{name(path)}: link to {target}: no such file'
        elif anchor and there.suffix in ('.md','.ipynb') and anchor.lower() not in anchors(there):
            yield f'{name(path)}: link to {target}: no such heading'

def main():
    sys.path.insert(0, str(root))
    notebooks,scripts = tracked('nbs/*.ipynb'),tracked('*.py')
    modules = [o for o in scripts if o.is_relative_to(root/lib)]
    own = [o for o in scripts if o not in modules]  # Written by hand, as notebooks are
    checks = {flakes: [o for o in scripts if o.name != '_modidx.py'], private_imports: scripts, long_lines: notebooks+own,
        mixed_cells: notebooks, long_cells: notebooks, same_number: notebooks, lost_text: notebooks,
        broken_links: notebooks + tracked('*.md')}
    found = [line for check,paths in checks.items() for path in paths for line in check(path)]
    print('\n'.join(found) or f'{len(notebooks)} notebooks and {len(scripts)} scripts and modules: nothing to complain of')
    sys.exit(bool(found))

if __name__ == '__main__': main()
