import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'

import { findAdmin } from '../../src/cli/admin-target.ts'
import { Failure } from '../../src/cli/failure.ts'
import { fixtures } from '../config/load-text.ts'

const folder = mkdtempSync(join(tmpdir(), 'upgate-target-'))

after(() => rmSync(folder, { recursive: true }))

function fileOf(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

/** A file with this admin section, and nothing else that would be right. */
function configOf(admin: string): string {
  return fileOf('upgate.yaml', `admin: ${admin}\nroutes: nothing yet\n`)
}

function failure(...given: Parameters<typeof findAdmin>): Failure {
  try {
    findAdmin(...given)
  } catch (error) {
    assert.ok(error instanceof Failure)
    return error
  }
  assert.fail('it was found')
}

describe('findAdmin', () => {
  for (const [given, url, address] of [
    ['http://10.0.0.7:9090', 'http://10.0.0.7:9090', { kind: 'tcp', host: '10.0.0.7', port: 9090 }],
    ['10.0.0.7:9090', 'http://10.0.0.7:9090', { kind: 'tcp', host: '10.0.0.7', port: 9090 }],
    ['http://[::1]:9090/', 'http://[::1]:9090', { kind: 'tcp', host: '::1', port: 9090 }],
    [
      'ops.example.com',
      'http://ops.example.com',
      { kind: 'tcp', host: 'ops.example.com', port: 80 },
    ],
    ['unix:/run/a.sock', 'unix:/run/a.sock', { kind: 'unix', path: '/run/a.sock' }],
  ] as const) {
    it(`understands ${given}`, () => {
      const target = findAdmin({ admin: given }, {})
      assert.deepEqual(target, { url, address, tls: undefined, token: undefined })
    })
  }

  it('knows the port of https, and who signs for it', () => {
    const ca = `${fixtures}/tls/cert.pem`
    const target = findAdmin({ admin: 'https://ops.example.com', ca }, {})
    assert.equal(target.address.kind === 'tcp' && target.address.port, 443)
    assert.match(target.tls?.ca ?? '', /BEGIN CERTIFICATE/)
    assert.equal(target.tls?.pinned, undefined)
  })

  for (const given of [
    'http://a:1/api',
    'ftp://a',
    'http://user@a:1',
    'http://a:1?x',
    'unix:run',
    'a:b',
  ]) {
    it(`refuses ${given}`, () => {
      const { exitCode, message } = failure({ admin: given }, {})
      assert.equal(exitCode, 2)
      assert.match(message, /is no place of an admin/)
    })
  }

  it('goes by --admin, else UPGATE_ADMIN, else the config file, else the default', () => {
    const config = configOf('{ address: "127.0.0.1:3" }')
    const env = { UPGATE_ADMIN: 'a:2' }
    assert.equal(findAdmin({ admin: 'a:1', config }, env).url, 'http://a:1')
    assert.equal(findAdmin({ config }, env).url, 'http://a:2')
    assert.equal(findAdmin({ config }, { UPGATE_ADMIN: '' }).url, 'http://127.0.0.1:3')
    assert.equal(findAdmin({}, { UPGATE_CONFIG: config }).url, 'http://127.0.0.1:3')
    assert.equal(findAdmin({ config: configOf('{}') }, {}).url, 'http://127.0.0.1:9090')
    assert.equal(findAdmin({ config: fileOf('empty.yaml', '') }, {}).url, 'http://127.0.0.1:9090')
  })

  for (const [address, url] of [
    ['0.0.0.0:9091', 'http://127.0.0.1:9091'],
    [':9091', 'http://127.0.0.1:9091'],
    ['[::]:9091', 'http://[::1]:9091'],
    ['10.0.0.7:9091', 'http://10.0.0.7:9091'],
    ['unix:/run/a.sock', 'unix:/run/a.sock'],
  ] as const) {
    it(`calls ${address} of the config file at ${url}`, () => {
      assert.equal(findAdmin({ config: configOf(`{ address: "${address}" }`) }, {}).url, url)
    })
  }

  it('pins the certificate of the config file, which may be relative to it', () => {
    const tls = `{ cert: "${fixtures}/tls/cert.pem", key: /nowhere }`
    const target = findAdmin({ config: configOf(`{ tls: ${tls} }`) }, {})
    assert.equal(target.url, 'https://127.0.0.1:9090')
    assert.match(target.tls?.pinned ?? '', /BEGIN CERTIFICATE/)
    fileOf('cert.pem', 'relative')
    const relative = findAdmin({ config: configOf('{ tls: { cert: cert.pem, key: k } }') }, {})
    assert.equal(relative.tls?.pinned, 'relative')
  })

  it('takes the token of --token-file, else UPGATE_ADMIN_TOKEN, else the config file', () => {
    const config = configOf('{ token: "${TOKEN}" }')
    const env = { TOKEN: 'the-token-of-the-config' }
    const tokenFile = fileOf('token', ' the-token-of-the-file \n')
    const withEnv = { ...env, UPGATE_ADMIN_TOKEN: 'the-token-of-env' }
    assert.equal(
      findAdmin({ config, 'token-file': tokenFile }, withEnv).token,
      'the-token-of-the-file',
    )
    assert.equal(findAdmin({ config }, withEnv).token, 'the-token-of-env')
    assert.equal(findAdmin({ config }, env).token, 'the-token-of-the-config')
  })

  it('sends the token of a config file to no other place', () => {
    const config = configOf('{ token: "the-token-of-the-config" }')
    assert.equal(findAdmin({ config, admin: 'evil.example:1' }, {}).token, undefined)
    assert.equal(findAdmin({ config }, { UPGATE_ADMIN: 'evil.example:1' }).token, undefined)
  })

  it('needs nothing else of the config file to be right', () => {
    const file = fileOf(
      'half.yaml',
      'admin: { address: "127.0.0.1:5" }\nlog:\n  level: ${NOT_SET}\nrotes: 1\n',
    )
    assert.equal(findAdmin({ config: file }, {}).url, 'http://127.0.0.1:5')
  })

  for (const [admin, exitCode, message] of [
    ['off', 3, /admin is off/],
    ['{ address: "127.0.0.1:0" }', 2, /port 0/],
    ['{ address: nowhere }', 1, /admin\.address: expected an address[^]*--admin URL/],
    ['{ token: "${NOT_SET_ANYWHERE}" }', 1, /NOT_SET_ANYWHERE[^]*--admin URL/],
    ['[', 1, /not valid YAML/],
  ] as const) {
    it(`says what is wrong with ${admin}`, () => {
      const failed = failure({ config: configOf(admin) }, {})
      assert.equal(failed.exitCode, exitCode)
      assert.match(failed.message, message)
    })
  }

  it('says which file cannot be read', () => {
    assert.match(failure({ config: '/nonexistent.yaml' }, {}).message, /nonexistent/)
    const token = failure({ admin: 'a:1', 'token-file': '/nonexistent' }, {})
    assert.deepEqual(
      [token.exitCode, token.message],
      [2, '/nonexistent cannot be read: there is no such file'],
    )
    const several = failure({ admin: 'a:1', 'token-file': fileOf('two', 'one two') }, {})
    assert.match(several.message, /has no token/)
  })
})
