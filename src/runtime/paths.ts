/** Names of files and folders. */
export { basename, dirname as parentFolder, isAbsolute, join, resolve } from "node:path";
