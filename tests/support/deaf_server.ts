/**
 * The command of a server that mounts and then answers nothing, as a broken one would. It says "mounted". It ends by
 * SIGTERM unless it is told to be stubborn.
 */
export function deafServer(mountpoint: string, stubborn = false): string[] {
  const program = `
import ctypes, os, signal, sys
if sys.argv[2] == "1": signal.signal(signal.SIGTERM, signal.SIG_IGN)
fd = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
if ctypes.CDLL(None, use_errno=True).mount(b"deaf", sys.argv[1].encode(), b"fuse", 0, options) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print("mounted", flush=True)
while True: signal.pause()
`;
  return ["python3", "-c", program, mountpoint, stubborn ? "1" : "0"];
}
