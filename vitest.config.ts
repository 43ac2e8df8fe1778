import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    environment: "node",
    // Only for what hangs: a machine may be busy with other things.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // Most tests wait for other processes.
    maxWorkers: 2,
    // Once more where nobody watches: a machine may stall for seconds, but what is wrong is wrong twice.
    retry: process.env.CI === undefined ? 0 : 1,
  },
});
