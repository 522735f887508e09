# Strict stubs for dependency-injector 4.49.1, only for the checks of this project.
#
# The types of the library are too loose or wrong in some places that we use; each
# file lists them. Only names that the sources and the tests use are declared. The
# stubs are not installed with typedbus, and its public types do not need them.
# `make check` compares them with the installed library.

__version__: str
