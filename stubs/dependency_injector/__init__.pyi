# Strict stubs for dependency-injector 4.49.1, for this project's own checks alone.
#
# The library ships types, which are loose or wrong where we use it; each file
# says where. Only what the sources and the tests use is declared here. Nobody
# who installs typedbus sees these stubs, and none of its public types needs them.
# `make check` holds them against the installed library.

__version__: str
