"""Hashes of what a database says, shared by those who write it and those who judge it."""
import hashlib


def row_hash(table, identity, w, x):
    text = b"%s|%d|%d|%s" % (table.encode(), identity, w, x)
    return int.from_bytes(hashlib.blake2b(text, digest_size=5).digest(), "big")


def schema_hash(cursor):
    rows = cursor.execute(
        "SELECT type, name, sql FROM sqlite_master "
        "WHERE name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_litestream%' ESCAPE '\\' ORDER BY type, name"
    ).fetchall()
    return int.from_bytes(hashlib.blake2b(repr(rows).encode(), digest_size=5).digest(), "big")
