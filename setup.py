"What `pyproject.toml` leaves open: the requirements, from `settings.ini`, and the long description, from `README.md`."

import re
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup

here = Path(__file__).parent
cfg = ConfigParser()
cfg.read(here / 'settings.ini', encoding='utf-8')
needs = {k: v.split() for k, v in cfg['DEFAULT'].items()}


def on_an_index(readme):
    "The README without what only a checkout has: its pictures, and the links to its files, of which the text stays"
    return re.sub(r'\[([^][]*)\]\((?!https?:)[^)]*\)', r'\1', re.sub(r'!\[[^]]*\]\((?!https?:)[^)]*\)\n*', '', readme))


setup(
    long_description=on_an_index((here / 'README.md').read_text(encoding='utf-8')),
    long_description_content_type='text/markdown',
    install_requires=needs['requirements'],
    extras_require={
        'test': needs['test_requirements'],
        'dev': needs['test_requirements'] + needs['dev_requirements'],
        'docs': needs['docs_requirements'],
    },
)
