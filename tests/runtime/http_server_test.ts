import { test } from "node:test";
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { runScript } from "../script.ts";

/** A command that starts another one on a machine whose names are these. */
function withHosts(path: string, lines: readonly string[]): string[] {
  writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
  return ["unshare", "-rm", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', path];
}

for (
  const [host, reached] of [["localhost", "127.0.0.1"], ["metrics.test", "127.0.0.2"]] as const
) {
  test(`listenHttp() listens on the IPv4 address of ${host}, which has an IPv6 one before it`, async () => {
    using folder = temporaryFolder();
    const within = withHosts(join(folder.path, "hosts"), [`::1 ${host}`, `${reached} ${host}`]);
    assert.deepEqual(await runScript("tests/runtime/listen_at.ts", { within, words: [host] }), {
      reached: [reached],
    });
  });
}
