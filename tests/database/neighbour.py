"""Another process with another SQLite on the same database: obeys one JSON line at a time, answers with one."""
import hashlib, json, os, sqlite3, sys, time

connections = {}


def connection(name, path):
    if name not in connections:
        connections[name] = sqlite3.connect(path, timeout=5, isolation_level=None)
    return connections[name]


def run(request):
    path = request["path"]
    kind = request["do"]
    if kind == "sql":
        started = time.time()
        rows = connection(request["name"], path).execute(request["sql"]).fetchall()
        return {"rows": rows, "ms": (time.time() - started) * 1000}
    if kind == "repeat":
        # One transaction each, with no gap but SQLite's own.
        execute = connection(request["name"], path).execute
        for _ in range(request["count"]):
            execute(request["sql"])
        return {}
    if kind == "close":
        connections.pop(request["name"]).close()
        return {}
    if kind == "hash":
        # Here and not in the tests' own process: closing a descriptor there would drop the locks under test.
        with open(path, "rb") as file:
            return {"sha256": hashlib.sha256(file.read()).hexdigest(), "size": os.path.getsize(path)}
    raise ValueError(kind)


for line in sys.stdin:
    try:
        answer = run(json.loads(line))
    except Exception as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
