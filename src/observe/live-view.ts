import type { WriteStream } from "node:tty";
import type { Progress } from "../types.ts";
import type { LogDestination } from "./log.ts";
import { nextPace, type Pace } from "./progress.ts";
import { renderProgress, renderSummary } from "./render.ts";

const refreshMs = 250;

/** Progress at the bottom of a terminal, with the log lines above it. Before `start` and after `stop` only the lines. */
export interface LiveView extends LogDestination {
  start(progress: () => Progress): void;
  /** Leaves a summary line in place of the view; does nothing unless it was started. */
  stop(): void;
}

export interface LiveViewOptions {
  readonly terminal: WriteStream;
  /** Where log lines go: unbuffered, and to the same terminal. */
  readonly log: LogDestination;
  /** As `terminal.hasColors()` says, which knows NO_COLOR. */
  readonly colours: boolean;
}

/** Loads what draws, and draws nothing yet. The view never keeps the process alive. */
export async function createLiveView({ terminal, log, colours }: LiveViewOptions): Promise<LiveView> {
  const { createLogUpdate } = await import("log-update");
  // Hiding the cursor would need a way to show it again after a SIGKILL.
  const frame = createLogUpdate(terminal, { showCursor: true });
  terminal.on("error", ignoreHangUp);
  let running: { readonly stop: () => void; readonly draw: () => void } | undefined;

  return {
    write: (text) => {
      if (running === undefined) return log.write(text);
      frame.clear();
      log.write(text);
      running.draw();
    },
    start: (progress) => {
      const startedMs = performance.now();
      let pace: Pace = nextPace(undefined, progress(), startedMs);
      const draw = () => frame(renderProgress(pace, { columns: terminal.columns, colours }).join("\n"));
      const look = () => {
        pace = nextPace(pace, progress(), performance.now());
      };
      const timer = setInterval(() => {
        look();
        draw();
      }, refreshMs).unref();
      const stop = () => {
        clearInterval(timer);
        look();
        frame.clear();
        log.write(`${renderSummary(pace, (pace.atMs - startedMs) / 1000)}\n`);
      };
      running = { draw, stop };
      draw();
    },
    stop: () => {
      running?.stop();
      running = undefined;
    },
  };
}

/** A terminal that was closed must not end the copy. */
function ignoreHangUp(): void {}
