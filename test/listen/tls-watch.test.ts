import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, it, mock } from 'node:test'
import type { Listener } from '../../src/listen/listener.ts'
import { TlsSide } from '../../src/listen/tls-side.ts'
import { CertificateWatch, type CertificateReport } from '../../src/listen/tls-watch.ts'
import { filesIn, tlsConfig } from './tls-config.ts'

const DAY_MS = 24 * 3_600_000

/** A listener with the certificate of a folder of fixtures, and what is told of it. */
function watched(folder: string) {
  const tls = tlsConfig(filesIn(folder))
  const side = new TlsSide({
    protocols: [],
    keyOf: () => undefined,
    onSecure: () => {},
    onFailed: () => {},
  })
  side.use(side.prepare(tls))
  const address = { kind: 'tcp', host: '0.0.0.0', port: 8443 }
  const listener = { address, config: { address, tls }, tls: side } as unknown as Listener
  const told: string[] = []
  const report: CertificateReport = {
    fileReloaded: ({ what }) => told.push(`reloaded ${what}`),
    certificateReloaded: ({ certificate }) => told.push(`reloaded ${certificate}`),
    certificateNotReloaded: ({ cause }) => told.push(`not reloaded: ${cause}`),
    certificateExpires: ({ url, certificate }, hasExpired) =>
      told.push(`${url} ${certificate} ${hasExpired ? 'has expired' : 'expires'}`),
  }
  const watch = new CertificateWatch({ listeners: () => [listener], report, intervalMs: DAY_MS })
  return {
    told,
    watch,
    reload: () => side.use(side.prepare(tls)),
    [Symbol.dispose]: () => {
      watch.close()
      side.close()
    },
  }
}

describe('CertificateWatch', () => {
  it('tells of a certificate that expires at once, and then once a day', async () => {
    const { validToDate } = new X509Certificate(readFileSync(filesIn('tls').cert))
    const now = validToDate.getTime() - 21.5 * DAY_MS
    mock.timers.enable({ apis: ['setInterval', 'Date'], now })
    using test = watched('tls')
    await test.watch.follow()
    assert.deepEqual(test.told, [])
    mock.timers.tick(DAY_MS)
    const expires = 'https://localhost:8443/ localhost expires'
    assert.deepEqual(test.told, [expires])
    test.reload()
    await test.watch.follow()
    assert.deepEqual(test.told, [expires])
    mock.timers.tick(DAY_MS)
    assert.deepEqual(test.told, [expires, expires])
    mock.timers.tick(20 * DAY_MS)
    assert.equal(test.told.at(-1), 'https://localhost:8443/ localhost has expired')
    test.watch.close()
    const { length } = test.told
    mock.timers.tick(DAY_MS)
    assert.equal(test.told.length, length)
    mock.timers.reset()
  })

  it('tells nothing of files that have not changed', async () => {
    using test = watched('tls')
    await test.watch.follow()
    await test.watch.follow()
    assert.deepEqual(
      test.told.filter((line) => line.includes('reloaded')),
      [],
    )
  })
})
