"""Alembic's entry: runs the versions on the connection that it is given, or on the configured database."""

from alembic import context
from sqlalchemy import Connection

from jobs.stores.schema import is_ours, metadata


def run(connection: Connection) -> None:
    """Run the versions that this command asks for, in the transaction of `connection`."""
    context.configure(connection=connection, target_metadata=metadata, include_object=is_ours)
    context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    from config import load_config
    from jobs.stores.migrate import migrating

    with migrating(load_config().sqlalchemy_url) as own:
        run(own)
