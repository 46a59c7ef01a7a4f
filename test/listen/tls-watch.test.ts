import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, mock } from 'node:test'
import type { Listener } from '../../src/listen/listener.ts'
import { TlsSide } from '../../src/listen/tls-side.ts'
import { CertificateWatch, type CertificateReport } from '../../src/listen/tls-watch.ts'
import { TestAuthority } from '../support/certificates.ts'
import { filesIn, tlsConfig } from './tls-config.ts'

const DAY_MS = 24 * 3_600_000

/** A listener with a certificate, and what is told of it. */
function watched(files: { readonly cert: string; readonly key: string }) {
  const tls = tlsConfig(files)
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
    using test = watched(filesIn('tls'))
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

  it('tells of a certificate that lives for days in the last third of its life', async () => {
    await using authority = await TestAuthority.create()
    const issued = await authority.issue({ names: ['DNS:short.test'], days: 6 })
    const folder = await mkdtemp(join(tmpdir(), 'upgate-watch-'))
    const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
    await writeFile(files.cert, issued.cert)
    await writeFile(files.key, issued.key)
    const { validToDate } = new X509Certificate(issued.cert)
    mock.timers.enable({ apis: ['setInterval', 'Date'], now: validToDate.getTime() - 2.1 * DAY_MS })
    try {
      using test = watched(files)
      await test.watch.follow()
      assert.deepEqual(test.told, [])
      mock.timers.tick(DAY_MS / 8)
      assert.deepEqual(test.told, ['https://localhost:8443/ short.test expires'])
    } finally {
      mock.timers.reset()
      await rm(folder, { recursive: true })
    }
  })

  it('tells nothing of files that have not changed', async () => {
    using test = watched(filesIn('tls'))
    await test.watch.follow()
    await test.watch.follow()
    assert.deepEqual(
      test.told.filter((line) => line.includes('reloaded')),
      [],
    )
  })
})
