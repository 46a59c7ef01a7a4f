/** What tests of the PROXY protocol have in common, whoever sends it. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestGateway } from './gateway.ts'
import { rawClient } from './raw-client.ts'

/** A header of version 1. */
export const LINE = 'PROXY TCP4 192.0.2.7 198.51.100.9 4660 443\r\n'
export const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'
const folder = join(import.meta.dirname, '../fixtures/tls')
/** Files beside a config. */
export const certificate = {
  'cert.pem': readFileSync(join(folder, 'cert.pem')),
  'key.pem': readFileSync(join(folder, 'key.pem')),
}

/** What the upstream is told of a client that begins with `bytes`, before a request. */
export async function told(
  { port }: TestGateway,
  bytes: string | Buffer,
  request = GET,
): Promise<string> {
  await using client = await rawClient(port)
  client.write(Buffer.concat([Buffer.from(bytes), Buffer.from(request)]))
  return (await client.answer()).body
}
