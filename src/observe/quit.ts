import { type Message, placeOf, send } from "./send.ts";

/** Tells a sidecar that we are about to end. A failure is not thrown: it comes back as a sentence for a warning. */
export async function tellToQuit(url: string, how: Pick<Message, "timeoutMs" | "ca">): Promise<string | undefined> {
  const failure = await send({ method: "POST", url, ...how });
  return failure === undefined ? undefined : `cannot tell ${placeOf(url)} to quit (--quit-url): ${failure}`;
}
