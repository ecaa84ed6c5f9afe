import assert from "node:assert/strict";
import { test } from "node:test";
import { type Files, systemFiles } from "../../src/runtime/files.ts";
import { sharesDevice } from "../../src/storage/shares_device.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** The system's files, with `/other` and what lies in it on a device of its own. */
const twoDevices: Files = {
  ...systemFiles,
  async stat(path) {
    if (path !== "/other" && path !== "/other/there") return await systemFiles.stat(path);
    return { ...(await systemFiles.stat("/"))!, device: -1 };
  },
};

test("sharesDevice() compares devices, and takes what is missing for where it would be made", async () => {
  using folder = temporaryFolder();
  const here = folder.path;
  const cases: [string, string, boolean][] = [
    [here, `${here}/app.db`, true],
    [`${here}/not/there/yet`, `${here}/app.db`, true],
    ["/other/there", `${here}/app.db`, false],
    ["/other/not/yet", `${here}/app.db`, false],
    ["/other/not/yet", "/other/there/app.db", true],
  ];
  for (const [root, databasePath, expected] of cases) {
    assert.equal(await sharesDevice(twoDevices, { root, databasePath }), expected, `${root} ${databasePath}`);
  }
});
