/** Why peers leave out the works over HTTP/2. */

const why = 'has no WebSockets over HTTP/2 (RFC 8441)'

/** Absences of a peer that has HTTP/1.1 alone for WebSockets. */
export const withoutHttp2 = { 'echo64-h2': why, 'idle-h2': why } as const
