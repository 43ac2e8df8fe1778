import type { BucketAddress } from "../oss/endpoint.ts";
import { openTransport, type TransportSetup } from "../oss/http/open-transport.ts";
import { ObjectReader } from "../oss/object-reader.ts";
import { RequestBuilder, type RequestBuilderOptions } from "../oss/request.ts";
import type { SigningState } from "../oss/signing.ts";
import { headBytes } from "../volume/device.ts";
import { DeviceWriter, type DeviceWriterOptions } from "../volume/device-writer.ts";
import type { TargetWriter } from "../volume/target-writer.ts";
import { VolumeWriter, type VolumeWriterOptions } from "../volume/volume-writer.ts";
import { LocalPlane } from "./local-plane.ts";
import { Slabs } from "./slabs.ts";

/** Everything that a data thread is made from, as plain data. */
export interface PlaneSetup {
  readonly transport: TransportSetup;
  readonly requests: Pick<RequestBuilderOptions, "bucket" | "signature"> & { readonly address: BucketAddress };
  readonly memoryBytes: number;
  readonly writer: WriterOptions;
  /** Whether unfinished large files stay at the end, for another run to go on with. */
  readonly keepsUnfinished?: boolean;
}

export type WriterOptions = VolumeWriterOptions | DeviceWriterOptions;

/** A data plane on this thread; `state` stays the caller's, who keeps it current. Throws CopyError `volume`. */
export async function buildPlane(
  { transport: how, requests, memoryBytes, writer, keepsUnfinished = false }: PlaneSetup,
  state: SigningState,
): Promise<LocalPlane> {
  const transport = await openTransport(how);
  const builder = new RequestBuilder({ ...requests, state, nowMs: () => Date.now() });
  return new LocalPlane({
    transport,
    reader: new ObjectReader(transport, builder),
    slabs: new Slabs(memoryBytes),
    writer: buildWriter(writer),
    heldBytes: heldBytesOf(writer),
    keepsUnfinished,
  });
}

/** `DataPlane.heldBytes` of a plane with such a writer. */
export function heldBytesOf({ kind }: WriterOptions): number {
  return kind === "device" ? headBytes : 0;
}

function buildWriter(options: WriterOptions): TargetWriter {
  return options.kind === "device" ? new DeviceWriter(options) : new VolumeWriter(options);
}
