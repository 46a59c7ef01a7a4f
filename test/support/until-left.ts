/** For scripted upstreams that outlive what the gateway does to them. */

import type { RawClient } from './raw-client.ts'

/** Reads nothing and does nothing until the other side has left, be it with a FIN or with a reset; then leaves as well. */
export async function untilLeft({ socket }: RawClient): Promise<void> {
  await new Promise((resolve) => socket.once('end', resolve).once('close', resolve))
  socket.destroy()
}
