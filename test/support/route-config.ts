/** A route's configuration with only what a test cares about. */

import type { RouteConfig } from '../../src/config/config.ts'
import { CLOSE_FRAMES } from './tunnel-policy.ts'

export function routeConfig(changes: Partial<RouteConfig>): RouteConfig {
  return {
    name: 'chat',
    identity: changes.name ?? 'chat',
    match: {
      hosts: undefined,
      path: undefined,
      methods: undefined,
      headers: new Map(),
      query: new Map(),
    },
    upgrade: ['websocket'],
    http: true,
    auth: [],
    origins: undefined,
    allow: undefined,
    limits: {
      tunnels: Infinity,
      tunnelsPerClient: Infinity,
      handshakesPerSecond: Infinity,
      requestsPerSecond: Infinity,
    },
    timeouts: {
      connectMs: 1,
      handshakeMs: 1,
      responseMs: 1,
      bodyMs: 1,
      idleMs: 1,
      lifetimeMs: 1,
    },
    keepalive: undefined,
    close: { timeoutMs: 1, frames: CLOSE_FRAMES },
    onReload: 'close',
    rewrite: { stripPrefix: undefined, addPrefix: undefined },
    headers: { request: { set: [], remove: [] }, response: { set: [], remove: [] } },
    upstream: 'chat',
    ...changes,
  }
}
