import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Config } from '../../src/config/config.ts'
import { filesOf } from '../../src/reload/config-files.ts'
import { loadText } from '../config/load-text.ts'

const bare = loadText('routes: [{ upstream: "builtin:echo" }]')

describe('filesOf', () => {
  it('is the config alone where it names no files', () => {
    assert.deepEqual(filesOf(bare), [bare.file])
  })

  it('is what clients of the admin are shown and what TLS to endpoints has, each once, and no file of a listener', () => {
    const tls = { cert: '/cert.pem', key: '/key.pem' }
    const [listener] = bare.listeners
    const [upstream] = bare.upstreams.values()
    const config = {
      ...bare,
      listeners: [{ ...listener, tls: { cert: '/listener.pem', key: '/listener-key.pem' } }],
      admin: { ...bare.admin, tls },
      upstreams: new Map([
        ['u', { ...upstream, tls: { ca: '/ca.pem', cert: '/client.pem', key: '/client-key.pem' } }],
        ['v', { ...upstream, tls: { ca: '/ca.pem' } }],
      ]),
    } as unknown as Config
    const ofEndpoints = ['/ca.pem', '/client.pem', '/client-key.pem']
    assert.deepEqual(filesOf(config), [bare.file, '/cert.pem', '/key.pem', ...ofEndpoints])
    assert.deepEqual(filesOf({ ...bare, admin: undefined }), [bare.file])
  })
})
