"""The service's own schedules, in a TOML file: a `[[schedules]]` table for each."""

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from config import LOCAL_TENANT, Config, ConfigError
from jobs.core.schedules import ScheduleSpec, file_schedule_id, planned
from jobs.stores.schedules import Schedule


class FileSpec(ScheduleSpec):
    """A schedule of the file also says whose it is."""

    tenant: str = Field(default=LOCAL_TENANT)


def read_schedules(config: Config, now: float) -> list[Schedule]:
    """Return the schedules of `SCHEDULES_FILE`, as they begin at `now`; none without one.

    Raises:
        ConfigError: the file cannot be read, or something in it is wrong; the message names all of it.
    """
    if not config.schedules_file:
        return []
    path, problems = Path(config.schedules_file), list[str]()
    tenants = set(config.api_keys.values()) or {LOCAL_TENANT}
    found: dict[str, Schedule] = {}
    for number, entry in enumerate(_entries(path), start=1):
        name = entry.get("name") if isinstance(entry, dict) else None
        where = f"schedule {number}" + (f" ({name})" if name else "")
        try:
            spec = FileSpec.model_validate(entry)
        except ValidationError as error:
            problems += [f"{where}: {'.'.join(map(str, e['loc'])) or 'table'}: {e['msg']}" for e in error.errors()]
            continue
        problems += [f"{where}: {problem}" for problem in _misfits(spec, tenants, found)]
        schedule = _schedule(spec, now)
        found[schedule.id] = schedule
    if problems:
        raise ConfigError(f"Bad schedules in {path}:\n" + "\n".join(f"  {problem}" for problem in problems))
    return list(found.values())


def _entries(path: Path) -> list[Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"SCHEDULES_FILE {path} cannot be read: {error}") from None
    entries = content.pop("schedules", [])
    if content or not isinstance(entries, list):
        raise ConfigError(f"SCHEDULES_FILE {path}: only [[schedules]] tables are expected, not {sorted(content)}")
    return entries


def _misfits(spec: FileSpec, tenants: Collection[str], found: Collection[str]) -> list[str]:
    problems = []
    if spec.tenant not in tenants:
        problems.append(f"tenant: {spec.tenant!r} has no API key; there are {', '.join(sorted(tenants))}")
    if file_schedule_id(spec.tenant, spec.name) in found:
        problems.append("name: there is another one of that name")
    return problems


def _schedule(spec: FileSpec, now: float) -> Schedule:
    plain = ScheduleSpec.model_construct(**spec.model_dump(exclude={"tenant"}))
    schedule_id = file_schedule_id(spec.tenant, spec.name)
    return planned(plain, schedule_id=schedule_id, tenant=spec.tenant, source="file", now=now)
