"The package's metadata and requirements, read from `settings.ini`."
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=['='], interpolation=None)
parser.read(here/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']
scripts = cfg['console_scripts'].strip().splitlines()
lib = 'fastxtend_cl'

setup(
    version=cfg['version'],
    description=cfg['description'],
    long_description=(here/'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    keywords=cfg['keywords'].split(),
    author=cfg['author'],
    license=cfg['license'],
    python_requires=f">={cfg['min_python']}",
    classifiers=[f'Programming Language :: Python :: {v}' for v in cfg['python_versions'].split()],
    packages=find_packages(include=[f'{lib}*']),
    install_requires=cfg['requirements'].split(),
    extras_require={'dev': cfg['dev_requirements'].split()},
    entry_points={'console_scripts': scripts, 'nbdev': [f'{lib} = {lib}._modidx:d']},
)
