import { runProgram } from "./src/cli/main.ts";

void runProgram();
