import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

import { parse } from 'yaml'

import { loadConfig } from '../../src/config/load.ts'
import { configKeys } from '../support/config-table.ts'
import { fixtures } from './load-text.ts'

const file = fileURLToPath(new URL('../../config/upgate.yaml', import.meta.url))
const text = readFileSync(file, 'utf8')

/**
 * With the keys that are commented out in use: their "#" is followed by none or by several blanks. The admin address has
 * a mode and an owner then, which are for unix sockets.
 */
const complete = text
  .replace(/^( *)#(?! \S)(?=.)/gm, '$1')
  .replace('address: 127.0.0.1:9090', 'address: unix:/run/upgate/admin.sock')

/** The paths of all keys, as the schema's table has them. */
function pathsIn(value: unknown, path: string): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => pathsIn(item, `${path}[]`))
  if (typeof value !== 'object' || value === null) return []
  const known = new Set(configKeys().map((key) => key.path))
  return Object.entries(value).flatMap(([key, child]) => {
    const own = path === '' ? key : `${path}.${key}`
    // What `defaults` holds is what a route holds.
    if (own === 'defaults') return [own, ...pathsIn(child, 'routes[]')]
    if (path === 'routes[].close') return [own, ...pathsIn(child, `${path}.REASON`)]
    return [own, ...pathsIn(child, known.has(own) || path === '' ? own : `${path}.NAME`)]
  })
}

describe('the example', () => {
  it('loads as it is, and answers everything with an echo on port 8080', () => {
    const config = loadConfig(file, {})
    assert.deepEqual(
      config.listeners.map((listener) => listener.address),
      [{ kind: 'tcp', host: '0.0.0.0', port: 8080 }],
    )
    assert.equal(config.routes.length, 1)
    assert.equal(config.routes[0]?.match.path, undefined)
    assert.deepEqual(config.upstreams.get('echo')?.endpoints[0]?.address, {
      kind: 'builtin',
      name: 'echo',
    })
    assert.deepEqual(config.warnings, [])
  })

  it('names the schema for editors', () => {
    assert.ok(text.startsWith('# yaml-language-server: $schema=./upgate.schema.json\n'))
  })

  it('loads with all its keys in use', () => {
    const folder = mkdtempSync(join(tmpdir(), 'upgate-example-'))
    try {
      mkdirSync(join(folder, 'tls'))
      copyFileSync(join(fixtures, 'tls/cert.pem'), join(folder, 'tls/cert.pem'))
      copyFileSync(join(fixtures, 'tls/cert.pem'), join(folder, 'tls/ca.pem'))
      copyFileSync(join(fixtures, 'tls/key.pem'), join(folder, 'tls/key.pem'))
      copyFileSync(join(fixtures, 'tls/crl.pem'), join(folder, 'tls/crl.pem'))
      copyFileSync(join(fixtures, 'tls/public.pem'), join(folder, 'devices.pem'))
      copyFileSync(join(fixtures, 'users.htpasswd'), join(folder, 'users.htpasswd'))
      copyFileSync(join(fixtures, 'keys.txt'), join(folder, 'keys.txt'))
      writeFileSync(join(folder, 'upgate.yaml'), complete)
      const config = loadConfig(join(folder, 'upgate.yaml'), {
        ADMIN_TOKEN: 'x'.repeat(32),
        PARTNER_SECRET: 'x'.repeat(32),
      })
      assert.equal(config.listeners.length, 5)
      assert.deepEqual(
        [...config.auth.keys()],
        ['staff', 'robots', 'people', 'partners', 'devices', 'hosts', 'portal'],
      )
      assert.deepEqual(
        config.routes.map((route) => route.name),
        ['chat', 'status', 'rooms', 'echo'],
      )
      assert.deepEqual(config.warnings, [])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('shows every key of the schema', () => {
    const shownPaths = new Set(pathsIn(parse(complete), ''))
    const missing = configKeys()
      .map((key) => key.path)
      .filter((path) => !shownPaths.has(path))
    assert.deepEqual(missing, [])
  })

  it('shows the defaults of the schema where a key is in use', () => {
    const written = parse(text) as Record<string, unknown>
    const wrong = configKeys().filter((key) => {
      if (key.default === '' || key.default === 'required' || key.path.includes('NAME'))
        return false
      const value = valueAt(written, key.path.replace(/^routes\[\]/, 'defaults'))
      return value !== undefined && shown(value) !== key.default && typeof value !== 'object'
    })
    assert.deepEqual(wrong, [])
  })
})

function valueAt(value: unknown, path: string): unknown {
  let found = value
  for (const step of path.replaceAll('[]', '.0').split('.')) {
    found = (found as Record<string, unknown> | undefined)?.[step]
  }
  return found
}

function shown(value: unknown): string {
  // Of a value from the environment, the one that stands in its place when nothing is set.
  return typeof value === 'string'
    ? value.replace(/^\$\{\w+:-(.*)\}$/, '$1')
    : JSON.stringify(value)
}
