def __getattr__(name):
    if name != '__version__': raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from importlib.metadata import version  # Asked only when needed: the package also runs from a clone that is not installed
    return version(__name__)
