/** SIGINT and SIGTERM: unmount what this process serves, then exit 0, or 1 where that failed. */
import { runtime } from "../../ffi/load.ts";

/** What a signal ends. */
export interface Endable {
  /** Unmounts; `hurry` does so by force. */
  end(hurry: boolean): Promise<void>;
}

const live = new Set<Endable>();
let takeBack: (() => void)[] = [];
let ending = false;

/** From now on a signal ends this one too; the answer takes that back. */
export function endOnSignal(one: Endable): () => void {
  if (live.size === 0 && takeBack.length === 0) {
    takeBack = (["SIGINT", "SIGTERM"] as const).map((signal) => runtime().onSignal(signal, onSignal));
  }
  live.add(one);
  return () => {
    live.delete(one);
    // While a signal is being handled, a second one still has to be heard.
    if (live.size === 0 && !ending) listenNoMore();
  };
}

function listenNoMore(): void {
  for (const undo of takeBack) undo();
  takeBack = [];
}

async function onSignal(): Promise<void> {
  const hurry = ending;
  ending = true;
  const ends = await Promise.allSettled([...live].map((one) => one.end(hurry)));
  // The first one tells how it ended: the second hurries the same end.
  if (hurry) return;
  const failed = ends.filter((end) => end.status === "rejected");
  for (const { reason } of failed) console.error(reason instanceof Error ? reason.message : reason);
  // Whoever waits for `closed` gets to finish what it does then.
  await new Promise((resolve) => setTimeout(resolve, 0));
  listenNoMore();
  runtime().exit(failed.length === 0 ? 0 : 1);
}
