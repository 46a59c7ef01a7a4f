/** Facts of a request as a test wants them, without a request. */

import type { RequestFacts } from '../../src/request/facts.ts'

/** A WebSocket handshake to `https://chat.example.com/ws` from 192.0.2.7, unless `changes` say otherwise. */
export function fakeFacts(changes: Partial<RequestFacts> = {}): RequestFacts {
  const query = changes.query ?? ''
  return {
    requestId: 'request-1',
    traceparent: '00-0123456789abcdef0123456789abcdef-0123456789abcdef-01',
    method: 'GET',
    target: query === '' ? '/ws' : `/ws?${query}`,
    path: '/ws',
    otherPaths: [],
    query,
    authority: 'chat.example.com',
    host: 'chat.example.com',
    httpVersion: '1.1',
    fields: [],
    clientIp: '192.0.2.7',
    peerTrusted: false,
    proto: 'https',
    forwarded: {
      for: '192.0.2.7',
      proto: 'https',
      host: 'chat.example.com',
      port: '443',
      field: undefined,
      policy: undefined,
    },
    upgrade: ['websocket'],
    stripped: false,
    ...changes,
  }
}

/** `Authorization: Basic` for a user and password. */
export function basicFields(user: string, password: string): string[] {
  return ['Authorization', `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`]
}

/** `Name: value` for each field, easier to read than the flat list. */
export function fieldLines(fields: readonly string[]): string[] {
  const lines: string[] = []
  for (let index = 0; index < fields.length; index += 2) {
    lines.push(`${fields[index]}: ${fields[index + 1]}`)
  }
  return lines
}
