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
