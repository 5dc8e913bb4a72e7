/** Calls a listener. What it throws is the runtime's to show, as with any event: the session goes on. */
export function listen(call: () => void): void {
  try {
    call();
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}
