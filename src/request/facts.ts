import type { Fields } from '../errors.ts'

/** What the listener knows of the connection that a request came over. */
export interface Connection {
  /** The peer's address as the socket tells it; empty for a unix socket. */
  readonly peerAddress: string
  readonly encrypted: boolean
  /** The listener's port; undefined for a unix socket. */
  readonly localPort: number | undefined
}

/** A request head as the parser gives it: nothing is checked beyond the grammar. */
export interface RequestHead {
  readonly method: string
  /** The request target as sent. */
  readonly target: string
  readonly httpVersion: '1.0' | '1.1'
  readonly fields: Fields
}

/** Everything that later steps may know of a request. Frozen. */
export interface RequestFacts {
  /** Taken over from a trusted proxy, else made. */
  readonly requestId: string
  /** W3C trace context; taken over from a trusted proxy, else made. */
  readonly traceparent: string
  readonly method: string
  /** In origin form (`/path?query`), otherwise byte for byte as sent; or `*` for OPTIONS. */
  readonly target: string
  /** The path that routes are matched with: percent-encoded unreserved characters decoded, dot segments removed, slashes merged. */
  readonly path: string
  /** Other paths as which an upstream may read this target (dot segments kept, encoded slashes decoded, ...), without `path` itself; usually empty. */
  readonly otherPaths: readonly string[]
  /** The raw query without its `?`; empty when there is none. */
  readonly query: string
  /** Host as sent or as the absolute-form target names it, with its port; empty for HTTP/1.0 without one. */
  readonly authority: string
  /** `authority` in lower case without its port and without a trailing dot. */
  readonly host: string
  readonly httpVersion: '1.0' | '1.1'
  /** As received. */
  readonly fields: Fields
  /** The address of the client: the peer's, or what trusted proxies say of it. IPv4-mapped addresses are plain IPv4. Empty for a unix peer that tells nothing. */
  readonly clientIp: string
  /** Whether the peer is in `trustedProxies`. */
  readonly peerTrusted: boolean
  readonly proto: 'http' | 'https'
  /** The forwarded fields to send on; see `forwarded.ts`. */
  readonly forwarded: Forwarded
  /** The Upgrade tokens asked for, in the client's order and spelling; empty when there is none. */
  readonly upgrade: readonly string[]
  /** A WebSocket handshake whose Upgrade field a trusted proxy has stripped: `upgrade` is `['websocket']` all the same. */
  readonly stripped: boolean
}

/** Values of X-Forwarded-For, -Proto, -Host and -Port for the upstream. */
export interface Forwarded {
  readonly for: string
  readonly proto: 'http' | 'https'
  readonly host: string
  readonly port: string
}
