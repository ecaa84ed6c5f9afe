import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { VERSION } from "../../src/version.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { readmeBlock, release, root, targets } from "./release.ts";
import { type ReleaseServer, serveRelease } from "./release_server.ts";

const INSTALLED = `v${VERSION}\n`;

/** By its path, since some tests leave little on `PATH`. */
const dash = execFileSync("sh", ["-c", "command -v dash"], { encoding: "utf8" }).trim();

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function runShell(words: readonly string[], environment: Record<string, string>): Promise<Run> {
  const child = spawn(dash, words, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  const run = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text) => run.stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text) => run.stderr += text);
  const [code] = await once(child, "close");
  return { code, ...run };
}

/** A machine to install on: a folder that stands for its root. */
class Ground implements AsyncDisposable {
  readonly #folder = temporaryFolder();
  readonly path = this.#folder.path;
  readonly bin = join(this.path, "usr/local/bin");
  readonly program = join(this.bin, "walbrook");

  constructor(readonly server: ReleaseServer) {}

  static async open(): Promise<Ground> {
    return new Ground(await serveRelease(release()));
  }

  get environment(): Record<string, string> {
    return {
      PATH: process.env["PATH"]!,
      HOME: this.path,
      DESTDIR: this.path,
      WALBROOK_BASE_URL: this.server.url,
      LC_ALL: "C",
    };
  }

  install(words: readonly string[] = [], environment: Record<string, string> = {}): Promise<Run> {
    const script = [join(root, "install.sh"), "--prefix", "/usr/local", ...words];
    return runShell(script, { ...this.environment, ...environment });
  }

  /** A `PATH` with these programs alone, and scripts of ours among them. */
  programs(names: readonly string[], scripts: Record<string, string> = {}): string {
    const folder = join(this.path, "programs");
    mkdirSync(folder, { recursive: true });
    for (const name of names) {
      const path = execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
      symlinkSync(path, join(folder, name));
    }
    for (const [name, text] of Object.entries(scripts)) {
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    }
    return folder;
  }

  /** Put an older walbrook in place. */
  placeOld(): void {
    mkdirSync(this.bin, { recursive: true });
    writeFileSync(this.program, "#!/bin/sh\necho v0.0.1\n", { mode: 0o755 });
  }

  assertOldIsThere(): void {
    assert.deepEqual(readdirSync(this.bin), ["walbrook"]);
    assert.equal(execFileSync(this.program, { encoding: "utf8" }), "v0.0.1\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

function versionOf(program: string): string {
  return execFileSync(program, ["version"], { encoding: "utf8", env: {} }).split("\n")[0] + "\n";
}

/** Refused with code 1 and one line that matches. */
function assertRefusal({ code, stderr }: Run, expected: RegExp): void {
  assert.equal(code, 1, stderr);
  assert.match(stderr, /^walbrook install: [^\n]*\n$/);
  assert.match(stderr, expected);
}

test("README's install section installs a walbrook that runs", async () => {
  await using ground = await Ground.open();
  // As another user than root it goes into HOME.
  const bins = [ground.bin, join(ground.path, ground.path, ".local/bin")];
  const PATH = [...bins, process.env["PATH"]].join(":");
  const run = await runShell(["-euc", readmeBlock("install")], { ...ground.environment, PATH });
  assert.equal(run.code, 0, run.stderr);
  assert.match(
    run.stdout,
    new RegExp(`installed walbrook v${VERSION} as .*\nnext: walbrook replicate .*\nv${VERSION}\n`),
  );
});

test("install.sh upgrades, does nothing a second time, and leaves nothing behind", async () => {
  await using ground = await Ground.open();
  ground.placeOld();
  const first = await ground.install();
  assert.equal(first.code, 0, first.stderr);
  assert.equal(versionOf(ground.program), INSTALLED);
  assert.equal(statSync(ground.program).mode & 0o777, 0o755);
  assert.deepEqual(readdirSync(ground.bin), ["walbrook"]);
  assert.ok(existsSync(join(ground.path, "usr/local/share/walbrook/THIRD_PARTY_NOTICES.txt")));
  assert.match(first.stdout, /\nnext: \S+\/walbrook replicate /);

  const { ino } = statSync(ground.program);
  const second = await ground.install();
  assert.match(second.stdout, new RegExp(`walbrook is v${VERSION} already\n`));
  assert.equal(statSync(ground.program).ino, ino);
  const archive = `walbrook-${targets.own}.tar.gz`;
  assert.equal(ground.server.requests.filter((name) => name === archive).length, 1);
});

test("install.sh keeps the old walbrook and says why in one line", async () => {
  const cases: [ReleaseServer["fault"], RegExp][] = [
    ["cut half-way", /walbrook-\S+\.tar\.gz: the download broke off, try again$/m],
    ["other bytes", /wrong SHA-256, nothing was changed/],
    ["other sum", /wrong SHA-256, nothing was changed/],
    ["no sum", /\.sha256: no SHA-256: is WALBROOK_BASE_URL right\?/],
  ];
  await using ground = await Ground.open();
  ground.placeOld();
  for (const [fault, expected] of cases) {
    ground.server.fault = fault;
    assertRefusal(await ground.install(), expected);
    ground.assertOldIsThere();
  }
  ground.server.fault = "none";
  assertRefusal(
    await ground.install([], { WALBROOK_BASE_URL: `http://127.0.0.1:9` }),
    /cannot be downloaded: /,
  );
  const elsewhere = { WALBROOK_BASE_URL: `${ground.server.url}/absent/` };
  assertRefusal(
    await ground.install([], elsewhere),
    /\/absent\/walbrook-\S+: 404: is WALBROOK_BASE_URL right\?/,
  );
  ground.assertOldIsThere();
});

test("install.sh installs with wget where there is no curl, and notices a download cut half-way", async () => {
  await using ground = await Ground.open();
  const names = ["sh", "uname", "ldd", "grep", "id", "mkdir", "mktemp", "wget", "awk", "sed", "tail", "head"];
  const PATH = ground.programs([
    ...names,
    "sha256sum",
    "tar",
    "gzip",
    "cp",
    "mv",
    "rm",
    "chmod",
    "df",
    "cat",
  ]);
  ground.server.fault = "cut half-way";
  const cut = await ground.install([], { PATH });
  assertRefusal(cut, /the download broke off|wrong SHA-256/);
  assert.deepEqual(readdirSync(ground.bin), []);
  ground.server.fault = "none";
  const whole = await ground.install([], { PATH });
  assert.equal(whole.code, 0, whole.stderr);
  assert.equal(versionOf(ground.program), INSTALLED);
});

test("install.sh refuses what it has nothing for, in one line", async () => {
  await using ground = await Ground.open();
  const uname = (system: string, cpu: string) =>
    `if [ "$1" = -s ]; then echo ${system}; else echo ${cpu}; fi`;
  const machine = (scripts: Record<string, string>) => {
    rmSync(join(ground.path, "programs"), { recursive: true, force: true });
    return { PATH: `${ground.programs([], scripts)}:${process.env["PATH"]}` };
  };
  const refused = async (environment: Record<string, string>, expected: RegExp, words: string[] = []) =>
    assertRefusal(await ground.install(words, environment), expected);

  await refused(
    { WALBROOK_BASE_URL: "" },
    /: set WALBROOK_BASE_URL to where the files of the release lie: export WALBROOK_BASE_URL=http/,
  );
  await refused(
    machine({ uname: uname("Linux", "riscv64") }),
    /: riscv64: there is no walbrook for this CPU/,
  );
  await refused(
    machine({ uname: uname("FreeBSD", "amd64") }),
    /: FreeBSD: there is no walbrook for this system/,
  );
  const musl = { uname: uname("Linux", "x86_64"), ldd: "echo musl libc >&2; exit 1" };
  await refused(machine(musl), /: musl: there is no walbrook for this C library/);
  await refused({}, /: --fast: unknown option/, ["--fast"]);
  await refused({}, /--user NAME is needed/, ["--service"]);
  await refused({}, /--user: a b: not a user's name/, ["--service", "--user", "a b"]);
  await refused({ DESTDIR: "/proc" }, /\/proc\/usr\/local\/bin: cannot be made: choose another place/);
  mkdirSync(ground.program, { recursive: true });
  await refused({}, /\/walbrook: a folder is in the way: move it away first/);
  assert.deepEqual(readdirSync(ground.program), []);
  assert.deepEqual(ground.server.requests, []);
});

test("install.sh refuses a new walbrook that doesn't run here, and keeps the old one", async () => {
  await using ground = await Ground.open();
  ground.placeOld();
  // tar hands over something else under walbrook's name.
  const tar =
    `/bin/tar "$@" && printf '#!/bin/sh\\necho no such CPU >&2\\nexit 1\\n' >"$2/walbrook-${targets.own}/walbrook"`;
  const PATH = `${ground.programs([], { tar })}:${process.env["PATH"]}`;
  const run = await ground.install([], { PATH });
  assertRefusal(run, /the new walbrook does not run here, nothing was changed: no such CPU/);
  ground.assertOldIsThere();
});

test("install.sh says that the disk is full", async () => {
  assert.equal(process.getuid?.(), 0, "this test mounts a file system: run the tests as root");
  // Not even the archive fits; the archive fits but not what is in it.
  for (const mib of [8, 80]) {
    await using ground = await Ground.open();
    mkdirSync(ground.bin, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mib}m`, "tmpfs", ground.bin]);
    try {
      ground.placeOld();
      assertRefusal(
        await ground.install(),
        /: the disk of \S+ is full \(\d+ KiB free\): make room for 200 MiB/,
      );
      ground.assertOldIsThere();
    } finally {
      execFileSync("umount", ["-l", ground.bin]);
    }
  }
});

test("install.sh --alias-litestream links the name, and never over somebody's file", async () => {
  await using ground = await Ground.open();
  const link = join(ground.bin, "litestream");
  mkdirSync(ground.bin, { recursive: true });
  writeFileSync(link, "theirs");
  assertRefusal(
    await ground.install(["--alias-litestream"]),
    /litestream is there already: move it away first/,
  );
  assert.equal(readFileSync(link, "utf8"), "theirs");
  rmSync(link);
  for (let count = 0; count < 2; count++) {
    assert.equal((await ground.install(["--alias-litestream"])).code, 0);
    assert.ok(lstatSync(link).isSymbolicLink());
    assert.equal(readlinkSync(link), "walbrook");
  }
  assert.equal(versionOf(link), INSTALLED);
});

test("install.sh --service writes the unit anew and the settings once", async () => {
  await using ground = await Ground.open();
  const words = ["--service", "--user", "app"];
  const first = await ground.install(words);
  assert.equal(first.code, 0, first.stderr);
  assert.match(
    first.stdout,
    /\nnext: write what to replicate into \S+\/environment, then: systemctl enable walbrook/,
  );
  const unit = join(ground.path, "usr/local/lib/systemd/system/walbrook.service");
  const settings = join(ground.path, "etc/walbrook/environment");
  assert.match(
    readFileSync(unit, "utf8"),
    /^User=app\n[^]*^ExecStart=\/usr\/local\/bin\/walbrook replicate /m,
  );
  assert.equal(statSync(settings).mode & 0o777, 0o600);
  writeFileSync(settings, "mine");
  chmodSync(settings, 0o640);
  writeFileSync(unit, "old");
  assert.equal((await ground.install(words)).code, 0);
  assert.equal(readFileSync(settings, "utf8"), "mine");
  assert.match(readFileSync(unit, "utf8"), /^User=app$/m);
});

test("install.sh does nothing when the script itself was cut off", async () => {
  await using ground = await Ground.open();
  const script = readFileSync(join(root, "install.sh"), "utf8");
  const lines = script.split("\n");
  for (let count = 1; count < lines.length - 2; count += 3) {
    const path = join(ground.path, "install.sh");
    writeFileSync(path, lines.slice(0, count).join("\n"));
    await runShell([path], ground.environment);
    assert.deepEqual(readdirSync(ground.path), ["install.sh"], `cut after line ${count}`);
  }
  assert.deepEqual(ground.server.requests, []);
});
