"""Render the notebooks as a site where Quarto is not installed: nbdev processes them, as it does for Quarto, Sphinx draws the pages.

python docs/build.py            # _proc/, then _docs/index.html
python docs/build.py --check    # the same, and every warning, dead link or dead anchor is an error
"""
import argparse, ast, re, shutil, subprocess, sys
from functools import cache
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path
from textwrap import fill
from urllib.parse import unquote, urlsplit
import yaml
from fastcore.nbio import mk_cell, read_nb, write_nb
from nbdev.config import get_config, nbpath2html
from nbdev.serve import proc_nbs

root = Path(__file__).resolve().parent.parent
nbs,pages,site = root/'nbs',root/'build/pages',root/'_docs'
top_pages = {'CONTRIBUTING.md':'contributing.md', 'CHANGELOG.md':'changelog.md'}  # Pages that are no notebooks
re_link = re.compile(r'!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)')
re_own = re.compile(r'\[`([^`\]]+)`\]\(/([\w./]+)\.html#([\w.]+)\)')
re_head = re.compile(r'(<thead>)(.*?)(</thead>)', re.DOTALL)
re_events = re.compile(r'\*, after_create:NoneType=None.*?(?=\n\))', re.DOTALL)  # A fastai callback takes a function for each event
re_source = re.compile(r'\[source\]\(([^)]*)\)\{[^}]*\}\n*')
re_place = re.compile(r'\[source\]\([^)]*?(fastxtend_cl/[\w/]+\.py)#L(\d+)\)')
inherited = {'Return repr(self).', 'Return str(self).'}  # Docstrings that Python has for methods without one

def page(path):
    "Where the notebook `path`, relative to `nbs/`, stands among the pages: its name without the number"
    return nbpath2html(path).with_suffix('.ipynb')

own_pages = {page(p.relative_to(nbs)).with_suffix('.html').as_posix():p.as_posix() for p in nbs.rglob('*.ipynb')}

def options(src):
    "Quarto's `#| key: value` lines at the top of a cell, and the rest of it"
    lines,opts = src.splitlines(),{}
    while lines and (m := re.match(r'#\|\s*([\w-]+):?\s*(.*)', lines[0])):
        opts[m[1]] = m[2].strip()
        lines.pop(0)
    return opts,'\n'.join(lines)

def in_columns(output):
    "Does a page show `output` as text that stands in columns, which a broken line would tear apart?"
    data = output.get('data', {})
    plain = output.get('text') or ('' if {'text/html', 'text/markdown'} & data.keys() else data.get('text/plain', ''))
    return len(re.findall(r'^.*\S {2,}\S', ''.join(plain), re.M)) > 1

def one_head(m):
    "The head of a pandas table with the names of its index in the same row as those of its columns"
    *above,names = re.findall(r'<tr.*?</tr>', m[2], re.S)
    cells = lambda row: re.findall(r'(<th[^>]*>)(.*?)(</th>)', row, re.S)
    text = lambda row: [t.replace('&nbsp;', '').strip() for _,t,_ in cells(row)]
    n = max((i for i,t in enumerate(text(names), 1) if t), default=0)
    if not above or not n or n == len(text(names)) or any(text(above[-1])[:n-1]): return m[0]
    new = [' / '.join(filter(None, o)) for o in zip(text(names), text(above[-1])[:n])]
    for (a,_,b),t in zip(cells(above[-1]), new): above[-1] = above[-1].replace(a + _ + b, f'<th class="index">{t}{b}', 1)
    return m[1] + '\n'.join(above) + m[3]

@cache
def definitions(path):
    "Classes and functions of a module, by name, with its lines"
    src = (root/path).read_text(encoding='utf-8')
    return {o.name:o for o in ast.walk(ast.parse(src)) if isinstance(o, (ast.ClassDef, ast.FunctionDef))},src.splitlines()

def short_names(code):
    "A signature without the modules of its types, and without what says nothing"
    code,*comment = code.split(' # ', 1)
    for old,new in ((r'torch\.nn\.modules\.module\.Module', 'nn.Module'), (r'\b(?!nn\.)(?:[a-z_]\w*\.)+(?=[A-Z])', ''),
        (r':NoneType=', '='), (r"<(\w+\.\w+): '\w+'>", r'\1'), (r'<function (\w+)[^>]*>', r'\1')): code = re.sub(old, new, code)
    return ' # '.join([code, *comment])

def signature(name, path, code):
    "What `show_doc` wrote of `name`, as one would write it: fields of a dataclass with what they are, a class as a class"
    known,lines = definitions(path) if path else ({}, [])
    node = known.get(name.split('.')[-1])
    code = '\n'.join(map(short_names, code.splitlines()))
    if isinstance(node, ast.ClassDef):
        fields = [o for o in node.body if isinstance(o, ast.AnnAssign)]
        if fields and any('dataclass' in ast.unparse(o) for o in node.decorator_list):
            return '\n'.join([f'class {node.name}:', *lines[fields[0].lineno-1:fields[-1].end_lineno]])
        return code.replace('def ', 'class ', 1).replace(')->None:', '):')
    if node and any('as_prop' in ast.unparse(o) or ast.unparse(o) == 'property' for o in node.decorator_list): return '@property\n' + code
    return code

def broken(line, width=90):
    "`line`, on several lines if it is a long sentence that stands beside columns, or in the last of them"
    text = line.lstrip(' ')
    *_,last = re.split(r'(?<=\S) {2,}(?=\S)', text)
    lead,indent = line[:len(line)-len(text)],len(line)-len(last)
    if len(line) <= width or (lead and (last != text or len(re.findall('(?<= )[a-z]+(?= )', text)) < 5)): return line  # Or code
    if last == text: return fill(text, width, initial_indent=lead, subsequent_indent=lead+'  ')
    if len(last) < width/2 or indent > width/2: return line
    return line[:indent] + fill(last, width-indent).replace('\n', '\n' + ' '*indent)

def own_definition(path, name):
    "File and line of the module of the notebook `path` in which `name` is defined; another module may have one of the same name"
    module = 'fastxtend_cl/' + page(path).with_suffix('').as_posix().replace('.', '/') + '.py'
    node = (root/module).is_file() and definitions(module)[0].get(name.split('.')[-1])
    return (module,node.lineno) if node else None

def label(path, name):
    "The target of `name`'s documentation on the page of `path`"
    return f'{page(path).with_suffix("").as_posix()}-{name}'.lower()

class Page:
    "One processed notebook, as MyST-NB takes it"
    def __init__(self, path):
        self.path,self.nb,self.names,self.lines = path,read_nb(root/'_proc'/path),[],{}
        cells = [c for cell in self.nb.cells if (c := self.cell(cell))]
        runs = groupby(cells, lambda c: id(c) in self.lines)  # nbdev documents the last name of a cell first
        self.nb.cells = [c for docs,run in runs for c in (sorted(run, key=lambda c: self.lines[id(c)]) if docs else run)]

    def cell(self, c):
        if c.cell_type == 'raw': return self.title(yaml.safe_load(c.source.strip().strip('-')))
        if 'AUTOGENERATED! DO NOT EDIT!' in c.source and c.cell_type == 'markdown': return
        if c.cell_type == 'markdown': return mk_cell(self.links(c.source), 'markdown')
        opts,src = options(c.source)
        if src.startswith('show_doc('): return self.doc(src, c.outputs)
        hide = {'echo':'remove-input', 'output':'remove-output', 'include':'remove-cell'}
        tags = [tag for k,tag in hide.items() if opts.get(k) == 'false'] + (['hide-input'] if 'code-fold' in opts else [])
        if any(map(in_columns, c.outputs)):
            tags.append('columns')
            for o in c.outputs:
                if 'text' in o: o['text'] = '\n'.join(map(broken, ''.join(o['text']).split('\n')))
        res = mk_cell(src, outputs=c.outputs, metadata={'tags':tags})
        for o in res.outputs:  # Links in a table that a cell wrote
            if 'text/markdown' in (data := o.get('data', {})): data['text/markdown'] = self.links(''.join(data['text/markdown']))
            if 'text/html' in data: data['text/html'] = re_head.sub(one_head, ''.join(data['text/html']))
        return res

    def title(self, front):
        self.front,badge = {'title':self.path.stem, **front},''
        if (url := get_config().git_url) and self.path.parts[0] == 'tutorials':
            nb = f"{urlsplit(url).path.strip('/')}/blob/{get_config().branch}/nbs/{self.path.as_posix()}"
            badge = (f'\n\n[Open in Colab](https://colab.research.google.com/github/{nb}), after '
                     f'`!git clone {url} repo && pip install ./repo` and `%cd repo/nbs/tutorials`')
        return mk_cell(f"# {self.front['title']}\n\n{{.subtitle}}\n{front.get('description', '')}{badge}\n", 'markdown')

    def doc(self, src, outputs):
        "What `show_doc` wrote, under a heading that others can link to"
        name = src.split('(', 1)[1].split(')')[0].split(',')[0]
        text = next((''.join(o.data['text/markdown']) for o in outputs if 'text/markdown' in o.get('data', {})), '')
        if not text: return
        url,place = get_config().git_url,re_place.search(text)
        file,line = own_definition(self.path, name) or (place and (place[1], int(place[2]))) or (None, None)
        text = re_source.sub(lambda m: f'[source]({m[1]})\n\n' if url else '', text.removeprefix('---\n\n'))
        shown = re.search(r'^### (.+)$', text, re.MULTILINE)
        one_line = re.findall(r'^\*(.+)\*$', text, re.MULTILINE)
        if '.' in shown[1] and (not one_line or one_line[-1] in inherited): return  # An event, or a method of Python's: known to all
        twice = sum(n.lower() == shown[1].lower() for n,_,_ in self.names)  # `replay` and `Replay` would be one
        target = label(self.path, name) + '-2'*twice
        head = shown[1].replace('_', r'\_')
        self.names.append((shown[1], target, re_own.sub(r'`\1`', one_line[-1]) if one_line else ''))
        text = text.replace(f'### {shown[1]}\n', f'({target})=\n{{.api}}\n### {head}\n')
        code = lambda m: f'```{{code-block}} python\n:class: signature\n\n{signature(name, file, m[1])}\n```'
        text = re.sub(r'```python\n(.*?)\n```', code, re_events.sub('**events', text), count=1, flags=re.DOTALL)
        res = mk_cell(self.links(text), 'markdown')
        if line: self.lines[id(res)] = line
        return res

    def links(self, text):
        "`text` with links to notebooks and files as they are on this site"
        code = re.split(r'(```.*?```)', text, flags=re.DOTALL)
        return ''.join(o if o.startswith('```') else re_link.sub(self.link, o) for o in code)

    def link(self, m):
        url,anchor = (m[2].split('#', 1) + [''])[:2]
        if not url or urlsplit(url).scheme or url[0] == '/': return m[0]
        target = (nbs/self.path.parent/unquote(own_pages.get(url, url))).resolve()  # Some name a page as the site does
        if not target.is_file(): raise FileNotFoundError(f'{self.path} links to {url}, which is not there')
        rel,up = target.relative_to(root).as_posix(),'../'*(len(self.path.parts)-1)
        if target.suffix == '.ipynb' and nbs in target.parents: new = page(target.relative_to(nbs)).as_posix()
        elif rel in top_pages: new = top_pages[rel]
        elif m[0][0] == '!': return f'![{m[1]}]({up}{self.keep(target)})'
        else: return f'<a href="{up}{self.keep(target)}">{m[1]}</a>'
        return f'[{m[1]}]({up}{new}{"#"*bool(anchor)}{anchor})'

    def link_names(self, known):
        "nbdev's links to symbols as links to what `show_doc` wrote of them, or else to their page"
        here = page(self.path).with_suffix('').as_posix()
        def own(m):
            if re.fullmatch('[a-z]+', m[1]) and m[2] != here: return f'`{m[1]}`'  # A plain word is often another's: `contiguous`, `seconds`
            name = f'{m[2]}-{m[3]}'
            return f'[`{m[1]}`]({"#"+name if name in known else "../"*(len(self.path.parts)-1)+m[2]+".ipynb"})'
        for c in self.nb.cells:
            if c.cell_type == 'markdown': c.source = re_own.sub(own, c.source)
            for data in (o.get('data', {}) for o in c.get('outputs', [])):
                if 'text/markdown' in data: data['text/markdown'] = re_own.sub(own, data['text/markdown'])

    def keep(self, target):
        "Copy a linked file of the repository, such as a result, so that the link works on the site alone"
        dst = pages/'files'/target.relative_to(root)
        dst.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(target, dst)
        return dst.relative_to(pages).as_posix()

def sections(contents):
    "Titles and notebooks of Quarto's sidebar, which Sphinx shows too"
    return [(o['section'], o['contents']) for o in contents if isinstance(o, dict)]

def toctree(caption, files):
    return f'\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n' + '\n'.join(files) + '\n```\n'

def sidebar(strict):
    "Titles and notebooks of `nbs/sidebar.yml`; it should list every notebook, and only those"
    found = {p.relative_to(nbs) for p in nbs.rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts}
    bar = sections(yaml.safe_load((nbs/'sidebar.yml').read_text(encoding='utf-8'))['website']['sidebar']['contents'])
    listed = {Path(f) for _,files in bar for f in files}
    extra = [p.as_posix() for p in sorted(found-listed-{Path('index.ipynb')})]
    differ = [f'{p} is not listed' for p in extra] + [f'{p.as_posix()} is not there' for p in sorted(listed-found)]
    if differ: print('nbs/sidebar.yml:', *differ, sep='\n  ')
    if differ and strict: sys.exit(1)
    bar.append(('Not listed', extra))
    return [(title, files) for title,fs in bar if (files := [f for f in fs if Path(f) in found])]

def promise(path):
    "Title and subtitle of the notebook `path`"
    text = next(c.source for c in read_nb(nbs/path).cells if c.cell_type == 'markdown')
    return re.search(r'^# (.+)$', text, re.MULTILINE)[1], re.search(r'^> (.+)$', text, re.MULTILINE)[1]

def llms(bar):
    "The pages as a list for language models (llmstxt.org), written from titles and subtitles"
    line = lambda f: '- [{0}]({2}): {1}'.format(*promise(f), page(Path(f)).with_suffix('.html').as_posix())
    parts = ['# {}\n\n> {}'.format(*promise('index.ipynb'))] + [f'## {title}\n\n' + '\n'.join(map(line, files)) for title,files in bar]
    return '\n\n'.join(parts) + '\n'

def write_pages(strict):
    "`_proc/` and the two top pages as sources of Sphinx"
    shutil.rmtree(pages, ignore_errors=True)
    found = {p.relative_to(root/'_proc'):Page(p.relative_to(root/'_proc')) for p in sorted((root/'_proc').rglob('*.ipynb'))}
    bar = sidebar(strict)
    (nbs/'llms.txt').write_text(llms(bar), encoding='utf-8')
    trees = [toctree(title, [page(Path(f)).as_posix() for f in files if Path(f) in found]) for title,files in bar]
    trees = ''.join([*trees, toctree('The project', ['names.md', *top_pages.values()])])
    found[Path('index.ipynb')].nb.cells.append(mk_cell(trees, 'markdown'))
    known = {label for p in found.values() for _,label,_ in p.names}
    for path,p in found.items():
        p.link_names(known)
        dst = pages/page(path)
        dst.parent.mkdir(parents=True, exist_ok=True)
        write_nb(p.nb, dst)
    names = sorted({o for p in found.values() for o in p.names}, key=lambda o: o[0].lower())
    rows = '\n'.join(f'| [`{n}`](#{l}) | {d} |' for n,l,d in names)
    head = '# All names\n\n{.subtitle}\nEvery public function, class and method, with what it does\n\n| name | |\n|---|---|\n'
    (pages/'names.md').write_text(f'{head}{rows}\n', encoding='utf-8')
    for src,dst in top_pages.items():
        text = (root/src).read_text(encoding='utf-8')
        (pages/dst).write_text(re_link.sub(top_link, text), encoding='utf-8')
def top_link(m):
    "A link in a page from the top folder"
    if urlsplit(m[2]).scheme or m[2][0] == '#': return m[0]
    rel = Path(m[2])
    new = page(rel.relative_to('nbs')).as_posix() if rel.suffix == '.ipynb' and rel.parts[0] == 'nbs' else top_pages.get(m[2], m[2])
    return f'[{m[1]}]({new})'

class Anchors(HTMLParser):
    "Links and anchors of a page"
    def __init__(self, path):
        super().__init__()
        self.links,self.ids = [],set()
        self.feed(path.read_text(encoding='utf-8'))
    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids |= {attrs[k] for k in ('id','name') if attrs.get(k)}
        self.links += [attrs[k] for k in ('href','src') if attrs.get(k)]

def dead_links():
    "Links of the site whose page, file or anchor is not there"
    parsed = {p:Anchors(p) for p in site.rglob('*.html') if not {'_static', 'files'} & set(p.relative_to(site).parts)}
    for p,a in parsed.items():
        for link in a.links:
            u = urlsplit(link)
            if u.scheme or u.netloc: continue
            target = (p.parent/unquote(u.path)).resolve() if u.path else p
            if target.is_dir(): target = target/'index.html'
            lost = u.fragment and target in parsed and unquote(u.fragment) not in parsed[target].ids
            if lost or not target.exists(): yield f'{p.relative_to(site)}: {link}'

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--check', action='store_true', help='fail on warnings, dead links and dead anchors')
    p.add_argument('--no-proc', action='store_true', help='take _proc/ as it is')
    a = p.parse_args()
    if not a.no_proc: proc_nbs(nbs)
    write_pages(a.check)
    shutil.rmtree(site, ignore_errors=True)
    strict = ['-W', '-n', '--keep-going'] if a.check else []
    html = root/'build/sphinx/html'  # MyST-NB leaves a folder beside it
    shutil.rmtree(html, ignore_errors=True)
    args = ['-q', '-b', 'html', '-c', root/'docs', '-d', root/'build/sphinx/doctrees', *strict, pages, html]
    res = subprocess.run([sys.executable, '-m', 'sphinx', *args])
    if res.returncode: sys.exit(res.returncode)
    shutil.move(html, site)
    if (pages/'files').exists(): shutil.copytree(pages/'files', site/'files', dirs_exist_ok=True)
    shutil.copy2(nbs/'llms.txt', site/'llms.txt')
    if dead := [*dead_links()]: print('Dead links:', *dead, sep='\n  ')
    if a.check and dead: sys.exit(1)
    print(f'{site/"index.html"}: {len([*site.rglob("*.html")])} pages')

if __name__ == '__main__': main()
