#!/bin/sh
# clean.sh CACHE COMMAND...: run COMMAND as on a fresh machine, so that no setting of this one hides a fault.
# It gets an empty HOME and of the environment only what installs packages; what it downloads is kept in CACHE.
set -eu
cache=$1; shift
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
trap 'exit 130' INT TERM
config=${XDG_CONFIG_HOME:-$HOME/.config}
mkdir -p "$home/.config" "$cache"
for settings in .npmrc .netrc .pip; do
  [ ! -e "$HOME/$settings" ] || cp -R "$HOME/$settings" "$home/$settings"
done
[ ! -e "$config/pip" ] || cp -R "$config/pip" "$home/.config/pip"

kept='PATH|CHROMIUM|TMPDIR|LANG|LC_ALL|TZ|LD_LIBRARY_PATH|DYLD_.*|SSL_.*|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NODE_EXTRA_CA_CERTS'
registries='PIP_.*|UV_.*|[Nn][Pp][Mm]_[Cc][Oo][Nn][Ff][Ii][Gg]_.*|([Hh][Tt][Tt][Pp][Ss]?|[Nn][Oo]|[Aa][Ll][Ll])_[Pp][Rr][Oo][Xx][Yy]'
for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
  printf '%s\n' "$name" | grep -Eqx "$kept|$registries" || unset "$name"
done
export HOME="$home" PIP_CACHE_DIR="${PIP_CACHE_DIR:-$cache/pip}" PYRIGHT_PYTHON_CACHE_DIR="$cache/pyright"
# A background job ignores some signals, and its children inherit that.
if env --default-signal true 2>/dev/null; then
  set -- env --default-signal "$@"
fi
"$@"
