import { parseCheckpoint } from "../../../src/engine/checkpoint-format.ts";
import { chooseDeviceState, parseDeviceState } from "../../../src/volume/device-state-format.ts";
import { attachLoop, type LoopDevice, type LoopOptions } from "../../support/devices.ts";
import { bucketName, openScene, type Scene } from "./scene.ts";

/** The key of the object that belongs on the device. */
export const imageKey = "images/disk.img";

/** An emulator with an object, a device for it, and nothing on that. */
export interface DeviceScene extends Scene {
  readonly device: LoopDevice;
}

/** `target` is the device, and the path the object. */
export async function openDeviceScene(
  objectBytes: number,
  deviceBytes: number,
  options?: LoopOptions & { readonly md5?: boolean },
): Promise<DeviceScene> {
  const scene = await openScene({ path: imageKey });
  try {
    scene.emulator.generate({
      bucket: bucketName,
      count: 1,
      sizeBytes: objectBytes,
      nameOf: () => imageKey,
      md5: options?.md5 ?? false,
    });
    const device = await attachLoop(scene.scratch.path, deviceBytes, options);
    const start: Scene["start"] = (verb, args, more) => scene.start(verb, args, { target: device.path, ...more });
    return {
      ...scene,
      device,
      target: device.path,
      start,
      run: (verb, args, more) => start(verb, args, more).result,
      async [Symbol.asyncDispose]() {
        try {
          await device[Symbol.asyncDispose]();
        } finally {
          await scene[Symbol.asyncDispose]();
        }
      },
    };
  } catch (error) {
    await scene[Symbol.asyncDispose]();
    throw error;
  }
}

const placeBytes = 32 * 1024;

/** Bytes behind the first mebibyte that the state at the end of a device vouches for. */
export async function keptOn(device: LoopDevice, deviceBytes: number): Promise<number> {
  const stateAt = deviceBytes - 2 * placeBytes;
  const places = await Promise.all([0, 1].map((i) => device.read(stateAt + i * placeBytes, placeBytes)));
  const found = chooseDeviceState(places.map(parseDeviceState));
  const text = found.status === "ours" ? found.state.checkpoint : undefined;
  const loaded = text === undefined ? undefined : parseCheckpoint(text);
  const open = loaded?.status === "ok" ? loaded.state.open : [];
  return open.flatMap(({ extents }) => extents).reduce((sum, { length }) => sum + length, 0);
}
