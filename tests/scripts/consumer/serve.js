// deno-lint-ignore-file no-process-global
// Serves the file systems of the three examples at once: `MEMORY SOURCE MIRROR HELLO`. What loads the package comes
// first.
async function serve([memoryAt, source, mirrorAt, helloAt]) {
  const text = new TextEncoder().encode("Hello, world!\n");
  const hello = {
    lookup: ({ name }) => name === "hello" ? { nodeid: 2, attr: { mode: 0o100444, size: text.length } } : null,
    getattr: ({ nodeid }) => ({
      attr: nodeid === ROOT_ID ? { mode: 0o040755, nlink: 2 } : { mode: 0o100444, size: text.length },
    }),
    readdir: () => [{ name: "hello", ino: 2, mode: 0o100444 }],
    read: async ({ offset, size }) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return text.subarray(offset, offset + size);
    },
  };
  const mirrored = mirror(source);
  const options = { defaultPermissions: true, handleKillpriv: true };
  const sessions = [
    await mount(memory(), memoryAt, options),
    await mount(mirrored, mirrorAt, options),
    await mount(hello, helloAt, { readOnly: true }),
  ];
  const { registered } = sessions[1].passthrough.stats();
  console.log(`mounted (${registered} registered)`);
  // Until somebody unmounts: from here, by a signal, or from outside.
  await Promise.all(sessions.map(({ closed }) => closed));
  mirrored[Symbol.dispose]();
  console.log("closed");
}
serve(process.argv.slice(2));
