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

  it('is what clients of the admin are shown, and no file of a listener or an upstream', () => {
    const tls = { cert: '/cert.pem', key: '/key.pem' }
    const [listener] = bare.listeners
    const [upstream] = bare.upstreams.values()
    const config = {
      ...bare,
      listeners: [{ ...listener, tls: { cert: '/listener.pem', key: '/listener-key.pem' } }],
      admin: { ...bare.admin, tls },
      upstreams: new Map([['u', { ...upstream, tls: { ca: '/ca.pem', cert: '/client.pem' } }]]),
    } as unknown as Config
    assert.deepEqual(filesOf(config), [bare.file, '/cert.pem', '/key.pem'])
    assert.deepEqual(filesOf({ ...bare, admin: undefined }), [bare.file])
  })
})
