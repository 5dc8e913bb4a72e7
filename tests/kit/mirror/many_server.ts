/**
 * Mirrors a directory with few descriptors, and prints what it holds four times a second.
 *
 *     deno run --allow-ffi tests/kit/mirror/many_server.ts SOURCE MOUNTPOINT DESCRIPTORS
 *
 * @module
 */
import process from "node:process";
import { mirror } from "../../../kit.ts";
import { mount } from "../../../mod.ts";

const [source, mountpoint, maxDescriptors] = process.argv.slice(2);

using fs = mirror(source, { maxDescriptors: Number(maxDescriptors) });
await using session = await mount(fs, mountpoint, { defaultPermissions: true });
console.log(`mounted on ${session.mountpoint}`);
const printing = setInterval(() => console.log(`counts ${JSON.stringify(fs.counts())}`), 250);
await session.closed;
clearInterval(printing);
