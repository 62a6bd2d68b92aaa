"""Channels last on your own machine, from a terminal.

python -m fastxtend_cl demo     one small U-Net both ways, in about a minute: converted, proved, measured
python -m fastxtend_cl bench    which memory format and precision is fastest for a model here?

Each takes --help. They are also installed as channelslast-demo and channelslast-bench.
"""
import os, sys, warnings

rooms = dict(demo='demo', bench='cli')

def run(command, prog, argv):
    "Exit code of `command` with options `argv`; what takes long to import is imported here"
    warnings.simplefilter('ignore')  # Those of other libraries, which begin when they are imported
    os.environ.setdefault('TORCH_CPP_LOG_LEVEL', 'ERROR')
    try:
        if argv == ['--version']: return print(version()) or 0
        from importlib import import_module
        from fastxtend_cl.cli import run_command
        return run_command(getattr(import_module(f'fastxtend_cl.{rooms[command]}'), command), prog, argv)
    except KeyboardInterrupt:
        print(f'{prog}: interrupted', file=sys.stderr)
        return 130

def version():
    from fastxtend_cl import __version__
    return f'fastxtend_cl {__version__}'

def demo(): sys.exit(run('demo', 'channelslast-demo', sys.argv[1:]))
def bench(): sys.exit(run('bench', 'channelslast-bench', sys.argv[1:]))

def main(argv):
    command,prog = argv[0] if argv else '--help','python -m fastxtend_cl'
    if command in ('-h','--help'): return print(__doc__.strip()) or 0
    if command == '--version': return print(version()) or 0
    if command in rooms: return run(command, f'{prog} {command}', argv[1:])
    print(f'{prog}: unknown command {command!r}, use {" or ".join(rooms)} (see {prog} --help)', file=sys.stderr)
    return 2

if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
