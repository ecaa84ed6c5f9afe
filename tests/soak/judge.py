"""
Judges database files: obeys one JSON line at a time, answers with one. It shares nothing with what it judges but the
hash functions; its SQLite is the machine's, not ours.
"""
import json, os, sqlite3, sys
from content import row_hash, schema_hash

MODULUS = 1 << 62


def content(path):
    connection = sqlite3.connect(f"file:{path}?immutable=1", uri=True, isolation_level=None)
    try:
        cursor = connection.cursor()
        problem = cursor.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if problem != "ok":
            return {"problem": f"integrity_check: {problem}"}
        rows = cursor.execute("SELECT epoch, seq, id, total, schema FROM state").fetchall()
        epoch, seq, identity, total, schema = rows[0]
        if len(rows) != 1:
            return {"problem": f"{len(rows)} rows of state"}
        tables = cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'd%'").fetchall()
        found = 0
        for (table,) in tables:
            for row, w, x, h in cursor.execute(f"SELECT id, w, x, h FROM {table}"):
                if row_hash(table, row, w, x) != h:
                    return {"problem": f"row {row} of {table} is not what was written"}
                found += h
        if found % MODULUS != total:
            return {"problem": f"the rows are not those of commit {identity}"}
        if schema_hash(cursor) != schema:
            return {"problem": f"the schema is not that of commit {identity}"}
        return {"epoch": epoch, "seq": seq, "id": identity, "total": total, "schema": schema}
    finally:
        connection.close()


def truncate(path):
    """Bring everything into the main file, whoever may still hold it."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        return {"busy": connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]}
    finally:
        connection.close()


def backup(path, to):
    source = sqlite3.connect(path, timeout=10)
    target = sqlite3.connect(to)
    source.backup(target)
    source.close()
    target.close()
    return {}


def live(path):
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        epoch, seq, identity = connection.execute("SELECT epoch, seq, id FROM state").fetchone()
        return {"epoch": epoch, "seq": seq, "id": identity}
    finally:
        connection.close()


def answer_to(request):
    try:
        return {"content": content, "truncate": truncate, "live": live, "backup": backup}[request.pop("do")](**request)
    except Exception as error:
        return {"problem": f"{type(error).__name__}: {error}"}


# Each in a process of its own: a connection that an error left open would share its wal-index with the next one to
# the same file, also when files were put in the place of those that it has open, and SQLite reads nonsense then.
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        print(json.dumps(answer_to(json.loads(line))), flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status != 0:
        print(json.dumps({"problem": f"the judge ended with wait status {status}"}), flush=True)
