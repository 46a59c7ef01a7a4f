/** A tunnel of a relay between two peers that a test plays. */

import type { Relay, Side } from '../../src/relay/relay.ts'
import { readBytes, socketPair, type SocketPair } from '../support/socket-pair.ts'
import { tunnelPolicy } from '../support/tunnel-policy.ts'
import { openTunnel, type TunnelLimits, type WatchedTunnel } from '../support/watched-tunnel.ts'

export const NO_LIMITS: TunnelLimits = { head: '', policy: tunnelPolicy() }

export interface Joined extends AsyncDisposable {
  readonly client: SocketPair['peer']
  readonly upstream: SocketPair['peer']
  readonly tunnel: WatchedTunnel
}

export interface JoinOptions {
  readonly limits?: TunnelLimits
  readonly clientSide?: Partial<Side>
  readonly upstreamSide?: Partial<Side>
}

/** A tunnel between two peers that the test plays. */
export async function join(
  relay: Relay,
  { limits = NO_LIMITS, clientSide = {}, upstreamSide = {} }: JoinOptions = {},
): Promise<Joined> {
  const [a, b] = [await socketPair(), await socketPair()]
  const tunnel = openTunnel(
    relay,
    { socket: a.socket, unread: [], ended: false, ...clientSide },
    { socket: b.socket, unread: [], ended: false, ...upstreamSide },
    limits,
  )
  return {
    client: a.peer,
    upstream: b.peer,
    tunnel,
    async [Symbol.asyncDispose]() {
      await a[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
      await tunnel.ended
    },
  }
}

/** A round trip through a tunnel of its own: what the relay was told before it is done when it comes back. */
export async function roundTrip({ client, upstream }: Joined): Promise<void> {
  client.write('x')
  await readBytes(upstream, 1)
  upstream.write('x')
  await readBytes(client, 1)
}

/** Fulfilled when the relay has done what it was told. */
export async function hasDone(relay: Relay): Promise<void> {
  await using joined = await join(relay)
  await roundTrip(joined)
}
