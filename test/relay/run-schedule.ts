/** Runs a schedule through a relay, over real sockets. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Relay, Side } from '../../src/relay/relay.ts'
import type { TunnelEnd } from '../../src/relay/tunnel-end.ts'
import { socketPair, type SocketPair } from '../support/socket-pair.ts'
import { other, type Schedule, type Start, type Step, type Who } from './schedule.ts'
import { ScheduledPeer } from './scheduled-peer.ts'
import { tunnelPolicy } from '../support/tunnel-policy.ts'
import { openTunnel, type WatchedTunnel } from '../support/watched-tunnel.ts'

/** What is certain of the end of a schedule. */
export interface Outcome {
  readonly by: TunnelEnd['by']
  readonly reason: TunnelEnd['reason']
  readonly bytesUp: number | 'open'
  readonly bytesDown: number | 'open'
  readonly received: Readonly<Record<Who, number | 'open'>>
  readonly endings: Readonly<Record<Who, string>>
}

type Peers = Readonly<Record<Who, ScheduledPeer>>

export async function runSchedule(schedule: Schedule, relay: Relay): Promise<Outcome> {
  const head = Buffer.from(Array.from({ length: schedule.headBytes }, (_, index) => index % 251))
  await using a = await socketPair(schedule.client.socket)
  await using b = await socketPair(schedule.upstream.socket)
  const peers: Peers = {
    client: new ScheduledPeer('client', a.peer, head),
    upstream: new ScheduledPeer('upstream', b.peer, Buffer.alloc(0)),
  }
  const client = await side(peers.client, a, schedule.client)
  const upstream = await side(peers.upstream, b, schedule.upstream)
  for (const who of ['client', 'upstream'] as const) peers[who].open()
  const tunnel = openTunnel(relay, client, upstream, {
    head: head.toString('latin1'),
    policy: tunnelPolicy(),
  })
  for (const step of schedule.steps) await take(step, peers, tunnel)
  const end = await tunnel.ended
  // What is still in the sockets may take its time; the end of each is the last thing that it tells.
  for (const who of ['client', 'upstream'] as const) {
    await peers[who].until(() => peers[who].ending !== 'open')
  }
  return outcome(schedule, peers, end)
}

/** What the relay gets: bytes that it is told of, and bytes that node has read by itself. */
async function side(
  peer: ScheduledPeer,
  { socket }: SocketPair,
  { unread, buffered }: Start,
): Promise<Side> {
  const chunks: Buffer[] = []
  for (const bytes of unread) {
    chunks.push(await readAhead(peer, socket, bytes))
  }
  if (buffered > 0) {
    peer.write(buffered)
    await hasBuffered(socket, buffered)
  }
  return { socket, unread: chunks, ended: false }
}

async function readAhead(peer: ScheduledPeer, socket: Socket, bytes: number): Promise<Buffer> {
  peer.write(bytes)
  await hasBuffered(socket, bytes)
  return socket.read(bytes) as Buffer
}

async function hasBuffered(socket: Socket, bytes: number): Promise<void> {
  while (socket.readableLength < bytes) {
    socket.read(0)
    await once(socket, 'readable')
  }
}

async function take(step: Step, peers: Peers, tunnel: WatchedTunnel): Promise<void> {
  switch (step.do) {
    case 'write':
      peers[step.who].write(step.bytes)
      break
    case 'waste':
      peers[step.who].socket.write(Buffer.alloc(step.bytes))
      break
    case 'stall':
      peers[step.who].socket.pause()
      break
    case 'read':
      peers[step.who].socket.resume()
      break
    case 'arrive':
      await arrival(peers, step.who)
      break
    case 'end':
      peers[step.who].socket.end()
      break
    case 'reset':
      peers[step.who].socket.resetAndDestroy()
      break
    case 'close':
      tunnel.close(step.by, 'drain', { frame: undefined, timeoutMs: step.graceMs })
      break
    case 'sees': {
      const peer = peers[step.who]
      await peer.until(() => peer.ending !== 'open')
      if (step.what !== 'anything') assert.equal(peer.ending, step.what, `the ${step.who}`)
      break
    }
    case 'over':
      await tunnel.ended
      break
  }
}

/** All that `who` has written is with the other one. */
async function arrival(peers: Peers, who: Who): Promise<void> {
  const [from, to] = [peers[who], peers[other(who)]]
  await to.until(() => to.received - to.headBytes >= from.written)
}

/** Checks what holds with every relay, and leaves out what is open. */
function outcome(schedule: Schedule, peers: Peers, end: TunnelEnd): Outcome {
  const { client, upstream } = peers
  for (const { fault } of [client, upstream]) assert.equal(fault, undefined)
  const { by, reason, bytesUp, bytesDown } = end
  const down = client.received - client.headBytes
  assert.ok(upstream.received <= bytesUp, `${bytesUp} up, of which ${upstream.received} arrived`)
  assert.ok(down <= bytesDown, `${bytesDown} down, of which ${down} arrived`)
  assert.ok(bytesUp <= client.written && bytesDown <= upstream.written)
  if (schedule.exactBytes) {
    assert.deepEqual([upstream.received, bytesUp], [client.written, client.written])
    assert.deepEqual([down, bytesDown], [upstream.written, upstream.written])
  }
  const count = (bytes: number): number | 'open' => (schedule.exactBytes ? bytes : 'open')
  const ending = (peer: ScheduledPeer): string => (schedule.exactEndings ? peer.ending : 'open')
  return {
    by,
    reason,
    bytesUp: count(bytesUp),
    bytesDown: count(bytesDown),
    received: { client: count(client.received), upstream: count(upstream.received) },
    endings: { client: ending(client), upstream: ending(upstream) },
  }
}
