import { copyScenarios } from "./copy.ts";
import { latency } from "./latency.ts";
import { limited } from "./limited.ts";
import { listing, longListing } from "./listing.ts";
import type { Scenario } from "./scenario.ts";
import { slowDisk } from "./slow-disk.ts";
import { startup } from "./startup.ts";

/** In the order in which they run. */
export const scenarios: Readonly<Record<string, Scenario>> = {
  ...copyScenarios,
  limited,
  listing,
  "listing-long": longListing,
  latency,
  "slow-disk": slowDisk,
  startup,
};
