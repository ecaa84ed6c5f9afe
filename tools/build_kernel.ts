/** `deno task build:kernel`: compile src/codec/kernel/lz4.ts and embed the bytes in src/codec/lz4_wasm.ts. */
import asc from "assemblyscript/asc";
import { readFile, writeFile } from "node:fs/promises";

const SOURCE = new URL("../src/codec/kernel/lz4.ts", import.meta.url);
const GENERATED = new URL("../src/codec/lz4_wasm.ts", import.meta.url);

/** What the compiler is told; 133 pages hold the layout that the source's head describes. */
const FLAGS = [
  ...["-O3", "--noAssert", "--runtime", "stub", "--enable", "simd", "--enable", "bulk-memory"],
  ...["--initialMemory", "133", "--maximumMemory", "133"],
];

/** Compile the kernel as it stands in the source tree. */
export async function compileKernel(): Promise<Uint8Array> {
  const source = await readFile(SOURCE, "utf8");
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(["lz4.ts", "--outFile", "lz4.wasm", ...FLAGS], {
    readFile: (name: string) => name === "lz4.ts" ? source : null,
    writeFile: (_name: string, contents: string | Uint8Array) => {
      if (typeof contents !== "string") binary = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || binary === undefined) {
    throw new Error(`cannot compile the LZ4 kernel\n${stderr.toString()}`, { cause: error });
  }
  return binary;
}

/** The text of the module that embeds `binary`. */
export function formatKernelModule(binary: Uint8Array): string {
  const base64 = btoa(String.fromCharCode(...binary));
  return [
    `/** The compiled kernel, ${binary.length} bytes. Made from kernel/lz4.ts by \`deno task build:kernel\`; don't edit. */`,
    `export const LZ4_WASM_BASE64 =`,
    `  "${base64}";`,
    ``,
  ].join("\n");
}

/** The text of the module in the source tree. */
export async function readKernelModule(): Promise<string> {
  return await readFile(GENERATED, "utf8");
}

if (import.meta.main) {
  const binary = await compileKernel();
  await writeFile(GENERATED, formatKernelModule(binary));
  process.stdout.write(`src/codec/lz4_wasm.ts: ${binary.length} bytes of WebAssembly\n`);
}
