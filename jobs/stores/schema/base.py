"""What all tables share: their metadata, and the type of a row's number."""

from sqlalchemy import BigInteger, Integer, MetaData

# SQLite numbers rows by itself only where the key is its own INTEGER type.
Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
