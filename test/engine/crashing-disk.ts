/** What a block has that was never written. */
export const hole = "hole";

type File = readonly string[];
type Change = (file: File | undefined) => File | undefined;

/** Files of blocks, each with a tag for its content. Of what was not synced, a crash leaves any part. */
export class CrashingDisk {
  #synced = new Map<string, File>();
  #live = new Map<string, File>();
  #log: { readonly name: string; readonly change: Change }[] = [];

  write(name: string, block: number, tag: string): void {
    this.#change(name, (file = []) => {
      const length = Math.max(file.length, block + 1);
      return Array.from({ length }, (_, i) => (i === block ? tag : (file[i] ?? hole)));
    });
  }

  /** An empty file, whatever was there. */
  create(name: string): void {
    this.#change(name, () => []);
  }

  unlink(name: string): void {
    this.#change(name, () => undefined);
  }

  read(name: string): File | undefined {
    return this.#live.get(name);
  }

  names(): string[] {
    return [...this.#live.keys()];
  }

  /** Begins a sync of all that was done so far; call the result when it ends. */
  sync(): () => void {
    const { length } = this.#log;
    return () => {
      for (const { name, change } of this.#log.splice(0, length)) apply(this.#synced, name, change);
    };
  }

  crash(random: () => number): void {
    const odds = random();
    for (const { name, change } of this.#log.splice(0)) if (random() < odds) apply(this.#synced, name, change);
    this.#live = new Map(this.#synced);
  }

  #change(name: string, change: Change): void {
    this.#log.push({ name, change });
    apply(this.#live, name, change);
  }
}

function apply(files: Map<string, File>, name: string, change: Change): void {
  const file = change(files.get(name));
  if (file) files.set(name, file);
  else files.delete(name);
}
