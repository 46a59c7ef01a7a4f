import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { adjustHttpServer, createHttpServer } from '../../src/listen/http-server.ts'

const LIMITS = { headBytesMax: 16_384, headTimeoutMs: 10_000, keepAliveTimeoutMs: 5000 }

describe('createHttpServer', () => {
  for (const headTimeoutMs of [1, 50, 500, 1001, 2500, 10_000, 60_001]) {
    it(`takes a limit of ${headTimeoutMs} ms for heads, at first and later`, () => {
      const limits = { ...LIMITS, headTimeoutMs }
      const server = createHttpServer(limits, () => false)
      assert.equal(server.headersTimeout, headTimeoutMs)
      server.close()
      const other = createHttpServer(LIMITS, () => false)
      adjustHttpServer(other, limits)
      assert.equal(other.headersTimeout, headTimeoutMs)
      other.close()
    })
  }
})
