#!/bin/sh
# plain_user.sh PYTHON...: run the suite as a user without rights, in a copy of the tree that the user may read.
# It needs root on Linux, and takes the first Python of 3.11 or later that the user can run and make environments with.
set -eu
cd "$(dirname "$0")/.."
if [ "$(uname)" != Linux ] || [ "$(id -u)" != 0 ]; then
  echo "suite-user: skipped: only root on Linux can make a user; without root every suite runs as a plain user"
  exit 0
fi
for tool in useradd userdel setpriv; do
  command -v "$tool" >/dev/null || { echo "suite-user: skipped: this system has no $tool"; exit 0; }
done
# A short name: it is in the paths of sockets, which have room for a hundred characters.
user=tb$$
folder=$(mktemp -d)
chmod 755 "$folder"
useradd --system --home-dir "$folder/home" --shell /bin/sh "$user"
trap 'userdel "$user"; rm -rf "$folder" "/tmp/pytest-of-$user"' EXIT
trap 'exit 130' INT TERM
mkdir "$folder/home" "$folder/tree"
as_user() { setpriv --reuid="$user" --regid="$user" --clear-groups env -u TMPDIR HOME="$folder/home" "$@"; }
chown "$user:" "$folder/home"

probe='import sys, venv, ensurepip; print(sys.executable); sys.exit(sys.version_info < (3, 11))'
python=
for candidate in "$@" /usr/local/bin/python3 /usr/bin/python3; do
  # From a folder that the user may enter; for root the same name may be another file.
  if python=$(cd / && as_user "$candidate" -c "$probe" 2>/dev/null); then
    break
  fi
done
if [ -z "$python" ] || ! "$python" -c "$probe" >/dev/null; then
  echo "suite-user: skipped: no Python of 3.11 or later, with venv, that a plain user may read (looked at: $* /usr/local/bin/python3 /usr/bin/python3)"
  exit 0
fi
echo "suite-user: $("$python" --version), as $user"
tar --exclude='./.venv*' --exclude=./.git --exclude='*_cache' --exclude=__pycache__ -cf - . | tar -xf - -C "$folder/tree"
chown -R "$user:" "$folder/tree"
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
cd "$folder/tree"
"$folder/venv/bin/python" -m pip install --quiet --editable . --group test
as_user tests/clean.sh "$folder/home/cache" "$folder/venv/bin/python" -m pytest -n auto
