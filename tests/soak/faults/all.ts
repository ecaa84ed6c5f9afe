import { DATABASE_FAULTS } from "./database_faults.ts";
import { DISK_FAULTS } from "./disk_faults.ts";
import type { Fault } from "./fault.ts";
import { PROCESS_FAULTS } from "./process_faults.ts";
import { STORE_FAULTS } from "./store_faults.ts";

/** Everything that can be made to go wrong. */
export const FAULTS: readonly Fault[] = [
  ...PROCESS_FAULTS,
  ...DISK_FAULTS,
  ...DATABASE_FAULTS,
  ...STORE_FAULTS,
];
