/** What the parts of the gateway tell the report: one shape for each thing that happens. */

import type { RouteConfig } from '../config/config.ts'
import type { Refusal } from '../errors.ts'
import type { EndReason } from '../relay/tunnel-end.ts'
import type { RequestFacts } from '../request/facts.ts'
import type { Cell } from './series.ts'

/** What is known of a request when it ends; what it did not come to is undefined. */
export interface RequestReport {
  /** Undefined where the head could not be understood: `requestId` and `clientIp` say who it was then. */
  readonly facts: RequestFacts | undefined
  readonly requestId?: string
  readonly clientIp?: string
  readonly method?: string
  readonly route: RouteConfig | undefined
  /** The endpoint tried last, by its URL in the config. */
  readonly endpoint: string | undefined
  /** It went to the endpoint by HTTP/2. */
  readonly endpointHttp2?: boolean
  readonly user: string | undefined
  /** From the request's head to its end. */
  readonly durationMs: number
}

/** A request that got an answer from an upstream. */
export interface AnsweredReport extends RequestReport {
  readonly status: number
  readonly bytesUp?: number
  readonly bytesDown?: number
  /** What broke the answer off, where something did. */
  readonly cause?: string | undefined
}

/** A request that the gateway answered itself, or whose client left before an answer. */
export interface RefusedReport extends RequestReport {
  readonly refusal: Refusal
  readonly bytesUp?: number
  readonly bytesDown?: number
}

/** A client whose bytes were no request at all. */
export interface BrokenReport {
  readonly requestId: string
  readonly clientIp: string
  readonly refusal: Refusal
}

/** Connections or handshakes of TLS that a listener has closed for want of a place since the last such report. */
export interface ClientsRefusedReport {
  /** Of the listener. */
  readonly url: string
  /** Its key of the config that has the limit. */
  readonly key: string
  /** Since all places were taken, and since the client held its share of them. */
  readonly full: number
  readonly share: number
  /** The address of the last one. */
  readonly clientIp: string
}

export interface TunnelReport extends RequestReport {
  readonly facts: RequestFacts
  readonly route: RouteConfig
  /** The token that the upstream switched to. */
  readonly protocol: string
  /** From the request's head to its 101. */
  readonly handshakeMs: number
}

/** Out of sight for the log, which writes what has a name. */
export const kOpen = Symbol('upgate.open')

/** A tunnel between its two lines: the fields that both have. */
export interface ReportedTunnel {
  /** Where it counts as open. */
  readonly [kOpen]: Cell
  readonly requestId: string
  readonly tunnelId: string
  readonly route: string
  readonly upstream: string
  readonly endpoint: string
  readonly clientIp: string
  readonly host: string
  readonly path: string
  readonly method: string
  readonly protocol: string
  /** Undefined for HTTP/1. */
  readonly httpVersion: '2.0' | undefined
  readonly endpointHttpVersion: '2.0' | undefined
  readonly user: string | undefined
  readonly status: number
  readonly handshakeMs: number
}

/** A certificate of a listener. */
export interface CertificateLine {
  /** Of the listener. */
  readonly url: string
  /** The first name that it has. */
  readonly certificate: string
  /** Its absolute path. */
  readonly file: string
  /** When it ends, as in RFC 3339. */
  readonly expires: string
}

/** What made the gateway read its config again. */
export type ReloadCause = 'signal' | 'file' | 'api'

export interface ReloadReport {
  /** The config's absolute path. */
  readonly file: string
  readonly cause: ReloadCause
}

/** How far a paced close is. */
export interface DrainReport {
  readonly reason: EndReason
  /** The endpoint that is emptied; undefined for all of them. */
  readonly upstream?: string | undefined
  readonly endpoint?: string | undefined
  /** Tunnels that are still to be closed, of those that there were at first. */
  readonly left: number
  readonly of: number
}

/** A change through the admin API. What it was not confined to is undefined. */
export interface AdminReport {
  readonly action: 'close' | 'drain' | 'enable' | 'rebalance' | 'rebalance stop' | 'reload'
  /** The address that it came from. */
  readonly by?: string | undefined
  readonly route?: string | undefined
  readonly upstream?: string | undefined
  readonly endpoint?: string | undefined
  readonly tunnelId?: string | undefined
  readonly user?: string | undefined
  readonly clientIp?: string | undefined
  /** How many it ends. */
  readonly tunnels: number
}

/** An open tunnel whose authorization server cannot be asked again. */
export interface RecheckReport {
  readonly route: string
  readonly check: string
  readonly tunnelId: string
  readonly cause: string
}
