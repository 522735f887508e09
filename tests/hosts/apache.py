"""
An Apache of the tests' own, with a configuration of its own, on a port that was free.

Run as a program it makes the environment for the Python that mod_wsgi was built
for, which need not be the one that runs the tests.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from host_process import HERE, Host, free_port

ROOT = HERE.parents[1]
VENV = ROOT / ".venv-hosts" / "apache"
MODULES = next(
    (
        folder
        for folder in map(Path, ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules"))
        if (folder / "mod_wsgi.so").exists()
    ),
    None,
)
PROGRAM = shutil.which("apache2", path="/usr/sbin:/usr/bin") or shutil.which("httpd", path="/usr/sbin:/usr/bin")

CONFIGURATION = """
ServerRoot {folder}
ServerName localhost
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {modules}/mod_wsgi.so
ErrorLog /dev/stderr
LogLevel warn
GracefulShutdownTimeout 30
StartServers 1
ServerLimit 4
ThreadsPerChild 8
MaxRequestWorkers 32
MinSpareThreads 1
MaxSpareThreads 32
WSGISocketPrefix {folder}/wsgi
<Directory {folder}>
    Require all granted
</Directory>
"""
#: Apache answers no request as root.
PLAIN_USER = """
User nobody
Group #{group}
"""


def missing() -> str | None:
    """Return why Apache cannot be tested here; None if it can."""
    if PROGRAM is None:
        return "Apache is not installed"
    if MODULES is None:
        return "mod_wsgi is not installed"
    if not (VENV / "bin").exists():
        return "there is no environment for the Python of mod_wsgi; make test-hosts makes it"
    return None


def publish(folder: Path) -> None:
    """Copy the environment and the modules of the sites into *folder*, where any user may read them."""
    folder.chmod(0o755)
    shutil.copytree(VENV, folder / "venv", symlinks=True)
    for package in ("src/typedbus", "examples"):
        shutil.copytree(ROOT / package, folder / "modules" / Path(package).name)
    for module in HERE.glob("shop_*.py"):
        shutil.copy(module, folder / "modules")


class Apache(Host):
    """
    Apache with scripts of mod_wsgi; reloaded by SIGUSR1, ended by SIGWINCH in order, by SIGTERM at once.

    Args:
        published: The folder of `publish`.
        directives: What stands below the common part; ``{folder}``, ``{python}``, ``{modules}`` are filled in.
        scripts: The files of the site by their names.
    """

    def __init__(self, published: Path, directives: str, scripts: Mapping[str, str]) -> None:
        assert PROGRAM is not None
        folder = Path(tempfile.mkdtemp(dir=published))
        folder.chmod(0o777)
        self.folder = folder
        for name, text in scripts.items():
            (folder / name).write_text(text, encoding="utf-8")
        port = free_port()
        text = CONFIGURATION.format(folder=folder, port=port, modules=MODULES)
        if os.geteuid() == 0:
            text += PLAIN_USER.format(group=pwd.getpwnam("nobody").pw_gid)
        for name, value in {"folder": folder, "python": published / "venv", "modules": published / "modules"}.items():
            directives = directives.replace(f"{{{name}}}", str(value))
        (folder / "apache.conf").write_text(text + directives, encoding="utf-8")
        super().__init__([PROGRAM, "-f", str(folder / "apache.conf"), "-D", "FOREGROUND"], folder, port=port)


def make_environment() -> None:
    """Make an environment for the Python of mod_wsgi, with what the sites import."""
    if PROGRAM is None or MODULES is None:
        print("Apache and mod_wsgi are not both installed; their tests will be skipped")
        return
    linked = subprocess.run(["ldd", str(MODULES / "mod_wsgi.so")], capture_output=True, text=True, check=True).stdout
    version = re.search(r"libpython(3\.\d+)", linked)
    assert version is not None, linked
    subprocess.run([f"/usr/bin/python{version[1]}", "-m", "venv", "--clear", "--without-pip", str(VENV)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(VENV), "install", "--quiet"]
    subprocess.run([*pip, "--editable", ".[asgi]", "--group", "demo", "--group", "frameworks"], cwd=ROOT, check=True)


if __name__ == "__main__":
    make_environment()
