/**
 * The catalogue of refusals: every way in which a request can end without reaching its goal.
 * Steps of the data plane return a `Refusal`; they never throw for what a client or an upstream did.
 * The README's table, the metric labels and this table agree by test.
 */

interface CatalogueRow {
  /** The HTTP status that the client sees. 499 is never sent: the client is gone. */
  readonly status: number
  /** Who is at fault. */
  readonly source: 'client' | 'upstream' | 'gateway'
  /** The step of a request's life that refuses. */
  readonly phase: 'listen' | 'facts' | 'route' | 'auth' | 'admit' | 'balance' | 'handshake'
  /** Whether the next endpoint may be tried. `beforeBytes`: as long as no byte of the request was sent, or it has no body. */
  readonly retry: 'never' | 'beforeBytes'
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** What the client reads. It tells nothing internal. */
  readonly text: string
}

export const catalogue = {
  E_HTTPS_REQUIRED: {
    status: 308,
    source: 'client',
    phase: 'facts',
    retry: 'never',
    level: 'info',
    text: 'This is served over HTTPS.',
  },
  E_REQUEST_MALFORMED: {
    status: 400,
    source: 'client',
    phase: 'listen',
    retry: 'never',
    level: 'info',
    text: 'The request is not valid HTTP/1.1.',
  },
  E_HTTP2_FLOOD: {
    status: 429,
    source: 'client',
    phase: 'listen',
    retry: 'never',
    level: 'warn',
    text: 'The connection was used for frames that ask for nothing.',
  },
  E_HOST_INVALID: {
    status: 400,
    source: 'client',
    phase: 'facts',
    retry: 'never',
    level: 'info',
    text: 'The request needs exactly one valid Host field.',
  },
  E_PROXY_HEADER: {
    status: 400,
    source: 'client',
    phase: 'listen',
    retry: 'never',
    level: 'info',
    text: 'The connection begins with no PROXY header that counts; it is closed without an answer.',
  },
  E_TARGET_INVALID: {
    status: 400,
    source: 'client',
    phase: 'facts',
    retry: 'never',
    level: 'info',
    text: 'The request target is not valid.',
  },
  E_TARGET_AMBIGUOUS: {
    status: 400,
    source: 'client',
    phase: 'route',
    retry: 'never',
    level: 'info',
    text: 'The path of the request can be read in more than one way. Send it without dot segments, double slashes or encoded slashes.',
  },
  E_BODY_MALFORMED: {
    status: 400,
    source: 'client',
    phase: 'handshake',
    retry: 'never',
    level: 'info',
    text: 'The framing of the request body is not valid.',
  },
  E_WEBSOCKET_REQUEST: {
    status: 400,
    source: 'client',
    phase: 'facts',
    retry: 'never',
    level: 'info',
    text: 'A WebSocket handshake is a GET with one valid Sec-WebSocket-Key.',
  },
  E_PROTOCOL_UNSERVED: {
    status: 501,
    source: 'client',
    phase: 'facts',
    retry: 'never',
    level: 'info',
    text: 'The protocol that the CONNECT asks for is not served here.',
  },
  E_FORWARDED_INVALID: {
    status: 400,
    source: 'client',
    phase: 'facts',
    retry: 'never',
    level: 'info',
    text: 'The Forwarded field of the request is not valid.',
  },
  E_AUTH_MISSING: {
    status: 401,
    source: 'client',
    phase: 'auth',
    retry: 'never',
    level: 'info',
    text: 'Credentials are required.',
  },
  E_AUTH_INVALID: {
    status: 401,
    source: 'client',
    phase: 'auth',
    retry: 'never',
    level: 'info',
    text: 'The credentials are not valid.',
  },
  E_ORIGIN_DENIED: {
    status: 403,
    source: 'client',
    phase: 'auth',
    retry: 'never',
    level: 'info',
    text: 'This Origin is not allowed here.',
  },
  E_ADDRESS_DENIED: {
    status: 403,
    source: 'client',
    phase: 'auth',
    retry: 'never',
    level: 'info',
    text: 'This client address is not allowed here.',
  },
  E_CLAIM_DENIED: {
    status: 403,
    source: 'client',
    phase: 'auth',
    retry: 'never',
    level: 'info',
    text: 'The credentials do not give access here.',
  },
  E_FORWARD_DENIED: {
    status: 403,
    source: 'client',
    phase: 'auth',
    retry: 'never',
    level: 'info',
    text: 'The authorization server refused the request.',
  },
  E_ROUTE_NONE: {
    status: 404,
    source: 'client',
    phase: 'route',
    retry: 'never',
    level: 'info',
    text: 'Nothing is served under this host and path.',
  },
  E_METHOD_DENIED: {
    status: 405,
    source: 'client',
    phase: 'facts',
    retry: 'never',
    level: 'info',
    text: 'This method is not served.',
  },
  E_HEAD_TIMEOUT: {
    status: 408,
    source: 'client',
    phase: 'listen',
    retry: 'never',
    level: 'info',
    text: 'The request took too long to arrive.',
  },
  E_UPGRADE_REQUIRED: {
    status: 426,
    source: 'client',
    phase: 'route',
    retry: 'never',
    level: 'info',
    text: 'Only upgrade requests are served here.',
  },
  E_RATE_LIMIT: {
    status: 429,
    source: 'client',
    phase: 'admit',
    retry: 'never',
    level: 'info',
    text: 'Too many requests from this client.',
  },
  E_CLIENT_FULL: {
    status: 429,
    source: 'client',
    phase: 'admit',
    retry: 'never',
    level: 'info',
    text: 'This client has too many tunnels open.',
  },
  E_HEAD_TOO_LARGE: {
    status: 431,
    source: 'client',
    phase: 'listen',
    retry: 'never',
    level: 'info',
    text: 'The request head is too large.',
  },
  E_CLIENT_GONE: {
    status: 499,
    source: 'client',
    phase: 'handshake',
    retry: 'never',
    level: 'info',
    text: 'The client left before it was answered.',
  },
  E_INTERNAL: {
    status: 500,
    source: 'gateway',
    phase: 'handshake',
    retry: 'never',
    level: 'error',
    text: 'The gateway failed.',
  },
  E_AUTH_UNAVAILABLE: {
    status: 502,
    source: 'gateway',
    phase: 'auth',
    retry: 'never',
    level: 'warn',
    text: 'The credentials cannot be checked at the moment.',
  },
  E_UPSTREAM_REFUSED: {
    status: 502,
    source: 'upstream',
    phase: 'handshake',
    retry: 'beforeBytes',
    level: 'warn',
    text: 'The upstream refused the connection.',
  },
  E_UPSTREAM_UNREACHABLE: {
    status: 502,
    source: 'upstream',
    phase: 'handshake',
    retry: 'beforeBytes',
    level: 'warn',
    text: 'The upstream cannot be reached.',
  },
  E_UPSTREAM_TLS: {
    status: 502,
    source: 'upstream',
    phase: 'handshake',
    retry: 'beforeBytes',
    level: 'warn',
    text: 'The upstream could not be reached securely.',
  },
  E_UPSTREAM_RESET: {
    status: 502,
    source: 'upstream',
    phase: 'handshake',
    retry: 'beforeBytes',
    level: 'warn',
    text: 'The upstream closed the connection before it answered.',
  },
  E_UPSTREAM_PROTOCOL: {
    status: 502,
    source: 'upstream',
    phase: 'handshake',
    retry: 'never',
    level: 'warn',
    text: 'The upstream sent an answer that is not valid HTTP.',
  },
  E_UPSTREAM_SWITCH: {
    status: 502,
    source: 'upstream',
    phase: 'handshake',
    retry: 'never',
    level: 'warn',
    text: 'The upstream switched protocols in a way that was not asked for.',
  },
  E_AUTH_BUSY: {
    status: 503,
    source: 'gateway',
    phase: 'auth',
    retry: 'never',
    level: 'warn',
    text: 'Too many credentials are being checked at the moment.',
  },
  E_GATEWAY_EXHAUSTED: {
    status: 503,
    source: 'gateway',
    phase: 'handshake',
    retry: 'never',
    level: 'info',
    text: 'The gateway has no room for another connection at the moment.',
  },
  E_ROUTE_FULL: {
    status: 503,
    source: 'gateway',
    phase: 'admit',
    retry: 'never',
    level: 'warn',
    text: 'All tunnels of this route are in use.',
  },
  E_DRAINING: {
    status: 503,
    source: 'gateway',
    phase: 'admit',
    retry: 'never',
    level: 'info',
    text: 'The gateway is shutting down.',
  },
  E_ENDPOINT_NONE: {
    status: 503,
    source: 'upstream',
    phase: 'balance',
    retry: 'never',
    level: 'warn',
    text: 'No upstream is available.',
  },
  E_AUTH_TIMEOUT: {
    status: 504,
    source: 'gateway',
    phase: 'auth',
    retry: 'never',
    level: 'warn',
    text: 'The check of the credentials took too long.',
  },
  E_CONNECT_TIMEOUT: {
    status: 504,
    source: 'upstream',
    phase: 'handshake',
    retry: 'beforeBytes',
    level: 'warn',
    text: 'The upstream took too long to accept the connection.',
  },
  E_HANDSHAKE_TIMEOUT: {
    status: 504,
    source: 'upstream',
    phase: 'handshake',
    retry: 'never',
    level: 'warn',
    text: 'The upstream took too long to answer the upgrade (timeouts.handshake).',
  },
  E_RESPONSE_TIMEOUT: {
    status: 504,
    source: 'upstream',
    phase: 'handshake',
    retry: 'never',
    level: 'warn',
    text: 'The upstream took too long to answer (timeouts.response).',
  },
  E_LOOP: {
    status: 508,
    source: 'gateway',
    phase: 'facts',
    retry: 'never',
    level: 'warn',
    text: 'The request has come through this gateway before: it goes round in circles.',
  },
} as const satisfies Record<string, CatalogueRow>

export type Code = keyof typeof catalogue

/** Header fields as they are on the wire: name, value, name, value, ... in order, in their own case (as node's `rawHeaders`). */
export type Fields = readonly string[]

export interface RefusalDetails {
  /** For the log alone: what happened, with the offending value where it is no secret. */
  readonly cause?: string
  /** Sent as Retry-After, in whole seconds. */
  readonly retryAfterSeconds?: number
  /** More fields of the answer, such as WWW-Authenticate. */
  readonly fields?: Fields
  /** An answer that somebody else made (a forward-auth server): it goes to the client whole, in place of ours. */
  readonly answer?: Answer
}

/** A whole answer to the client. */
export interface Answer {
  readonly status: number
  readonly reason: string
  readonly fields: Fields
  readonly body: Buffer
}

/** The value that a step returns when a request ends there. It is not an Error: it carries no stack and costs nothing. */
export class Refusal {
  readonly code: Code
  readonly details: RefusalDetails

  constructor(code: Code, details: RefusalDetails = {}) {
    this.code = code
    this.details = details
  }

  /** E_INTERNAL for a programmer's error that was caught: its stack goes to the log, and one request ends in place of the process. */
  static ofError(error: unknown): Refusal {
    const cause = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return new Refusal('E_INTERNAL', { cause })
  }

  /** The status on the wire: the catalogue's, or that of somebody else's answer. */
  get status(): number {
    return this.details.answer?.status ?? catalogue[this.code].status
  }
}
