import { DatabaseSync } from "node:sqlite";

/**
 * Calls `before` ahead of every statement that this process runs, until disposed of; not for those that `before`
 * runs itself.
 */
export function hookStatements(before: (sql: string, connection: object) => void): Disposable {
  const { exec, prepare } = DatabaseSync.prototype;
  let isInside = false;
  const call = (sql: string, connection: object) => {
    if (isInside) return;
    isInside = true;
    try {
      before(sql, connection);
    } finally {
      isInside = false;
    }
  };
  DatabaseSync.prototype.exec = function (sql: string) {
    call(sql, this);
    return exec.call(this, sql);
  };
  DatabaseSync.prototype.prepare = function (sql: string) {
    call(sql, this);
    return prepare.call(this, sql);
  };
  return {
    [Symbol.dispose]() {
      DatabaseSync.prototype.exec = exec;
      DatabaseSync.prototype.prepare = prepare;
    },
  };
}
