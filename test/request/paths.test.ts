import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { canonicalPath, readPath } from '../../src/request/paths.ts'

function upper(path: string): string {
  return path.replaceAll(/%../g, (encoded) => encoded.toUpperCase())
}

describe('readPath', () => {
  const cases: [name: string, raw: string, path: string, others: string[]][] = [
    ['a plain path', '/public/a.b_c~d-1', '/public/a.b_c~d-1', []],
    ['the root', '/', '/', []],
    ['a slash at the end', '/ws/', '/ws/', []],
    ["sub-delimiters other than ';'", "/a!$&'()*+,=:@b", "/a!$&'()*+,=:@b", []],
    ['dots that are no dot segment', '/...a/..b/c../...', '/...a/..b/c../...', []],
    ['an encoded unreserved character', '/%61dmin', '/admin', []],
    ['an encoded blank', '/a%20b', '/a%20b', []],
    ['bytes beyond ASCII, in either case', '/caf%c3%A9', '/caf%C3%A9', []],
    ['a dot segment', '/public/../admin', '/admin', ['/public/../admin']],
    ['an encoded dot segment', '/public/%2e%2E/admin', '/admin', ['/public/../admin']],
    ['a half encoded dot segment', '/public/.%2e/admin', '/admin', ['/public/../admin']],
    ['a single dot', '/a/./b', '/a/b', ['/a/./b']],
    ['a dot segment at the end', '/a/b/..', '/a/', ['/a/b/..']],
    ['a single dot at the end', '/a/.', '/a/', ['/a/.']],
    ['dot segments above the root', '/../../admin', '/admin', ['/../../admin']],
    ['two slashes at the start', '//admin', '/admin', ['//admin']],
    ['two slashes inside', '/a//b', '/a/b', ['/a//b']],
    ['a dot segment behind two slashes', '/a//../b', '/b', ['/a//../b', '/a/../b', '/a/b']],
    ['an encoded slash', '/public%2Fadmin', '/public%2Fadmin', ['/public/admin']],
    [
      'a dot segment before an encoded slash',
      '/public/..%2fadmin',
      '/public/..%2Fadmin',
      ['/public/../admin', '/admin'],
    ],
    ['a backslash', '/public\\admin', '/public\\admin', ['/public/admin']],
    ['an encoded backslash', '/a%5C..%5cb', '/a%5C..%5Cb', ['/a\\..\\b', '/a/../b', '/b']],
    ['a character that is encoded twice', '/%2561dmin', '/%2561dmin', ['/%61dmin', '/admin']],
    [
      'a dot segment that is encoded twice',
      '/public/%252e%252e/admin',
      '/public/%252e%252e/admin',
      ['/public/%2e%2e/admin', '/public/../admin', '/admin'],
    ],
    ['a path parameter', '/a;v=1/b', '/a;v=1/b', ['/a/b']],
    [
      'a path parameter behind a dot segment',
      '/public/..;/admin',
      '/public/..;/admin',
      ['/public/../admin', '/admin'],
    ],
    ['a path parameter instead of a segment', '/;x/admin', '/;x/admin', ['//admin', '/admin']],
    ['an encoded path parameter', '/a%3Bv/b', '/a%3Bv/b', ['/a;v/b', '/a/b']],
    ['an encoded reserved character', '/%40me', '/%40me', ['/@me']],
    ['an encoded question mark', '/staff%3f', '/staff%3F', ['/staff?', '/staff']],
    ['an encoded hash', '/staff%23/x', '/staff%23/x', ['/staff#/x', '/staff']],
    [
      'a NUL that is encoded twice',
      '/staff%2500.png',
      '/staff%2500.png',
      ['/staff%00.png', '/staff'],
    ],
    ['an encoded line break', '/st%0Aaff', '/st%0Aaff', ['/staff']],
    ['a slash in two bytes', '/a%C0%AFb', '/a%C0%AFb', ['/a/b']],
    [
      'a dot segment in three bytes each',
      '/a/%e0%80%ae%E0%80%AE',
      '/a/%E0%80%AE%E0%80%AE',
      ['/a/..', '/'],
    ],
    ['a backslash in four bytes', '/a%F0%80%81%9Cb', '/a%F0%80%81%9Cb', ['/a\\b', '/a/b']],
    ['a letter in two bytes', '/%C1%A1dmin', '/%C1%A1dmin', ['/admin']],
    ['a NUL in two bytes', '/a%C0%80b', '/a%C0%80b', ['/a%00b', '/a']],
  ]
  for (const [name, raw, path, others] of cases) {
    it(`gives all readings of ${name}`, () => {
      const readings = readPath(raw)
      assert.ok(readings)
      assert.equal(readings.path, path)
      assert.deepEqual(new Set(readings.otherPaths), new Set(others))
      assert.equal(readings.otherPaths.length, others.length, 'no reading is there twice')
      assert.equal(canonicalPath(raw), path)
    })
  }

  const chained: [name: string, raw: string, reading: string][] = [
    ['resolved, decoded, and resolved again', '/a/b%2fc/../d%2f..%2fe', '/a/e'],
    ['resolved with a backslash as a slash', '/public\\%5c/../admin', '/public/admin'],
    ['decoded three times', '/%25252e%25252e/admin', '/admin'],
    ['without a parameter that was encoded', '/a/..%3Bx/b', '/b'],
    ['up to a question mark that was encoded twice', '/staff%253Fx', '/staff'],
    ['up to a question mark behind a dot segment', '/public/..%2fstaff%3f/', '/staff'],
    ['with slashes in two bytes that were encoded twice', '/a%25c0%25afb', '/a/b'],
  ]
  for (const [name, raw, reading] of chained) {
    it(`knows the reading of a server that reads ${raw} ${name}`, () => {
      assert.ok(readPath(raw)?.otherPaths.includes(reading))
    })
  }

  it('gives no readings of a path that has too many', () => {
    assert.equal(readPath(`/%${'25'.repeat(80)}2e`), undefined)
    assert.equal(readPath(`/${'a/../'.repeat(10_000)}//;x/${'\\b'.repeat(5000)}`), undefined)
  })

  it('knows what chains of servers make of 5000 random paths', () => {
    const parts = [
      '/',
      '/',
      'a',
      'b',
      '.',
      '..',
      '%2e',
      '%2F',
      '%5c',
      '\\',
      ';x',
      '%25',
      '2e',
      '%3b',
      '%3f',
      '%23',
    ]
    // Independent of the code under test; the URL parser removes dot segments and reads backslashes as slashes.
    const servers: ((path: string) => string)[] = [
      (path) => new URL(`http://h${path}`).pathname,
      (path) => path.replaceAll(/%(2e|2f|5c|25|3b|3f|23)/gi, decodeURIComponent),
      (path) => path.split(/\/+/).join('/'),
      (path) => path.split(/[?#]/)[0] as string,
      (path) =>
        path
          .split('/')
          .map((segment) => segment.split(';')[0])
          .join('/'),
    ]
    let state = 7
    const random = (below: number): number => {
      state = (state * 48_271) % 0x7fffffff
      return state % below
    }
    let ambiguous = 0
    let refused = 0
    for (let round = 0; round < 5000; round += 1) {
      const raw = `/${Array.from({ length: random(10) }, () => parts[random(parts.length)]).join('')}`
      if (/%(?![0-9a-f]{2})/i.test(raw)) continue
      const readings = readPath(raw)
      if (readings === undefined) {
        refused += 1
        continue
      }
      const { path, otherPaths } = readings
      assert.doesNotMatch(path, /\/\/|\/\.{1,2}(?:\/|$)/, raw)
      assert.equal(canonicalPath(path), path, raw)
      assert.ok(!otherPaths.includes(path), raw)
      if (otherPaths.length > 0) ambiguous += 1
      const known = new Set([path, ...otherPaths].map(upper))
      let seen = raw
      for (let hop = random(5); hop > 0; hop -= 1)
        seen = (servers[random(servers.length)] as (p: string) => string)(seen)
      const plain = seen.replaceAll(/%2e/gi, '.')
      assert.ok(known.has(upper(plain)), `${raw} read as ${seen}`)
    }
    assert.ok(ambiguous > 1000, `${ambiguous} paths were ambiguous`)
    assert.ok(refused < 250, `${refused} paths had too many readings`)
  })

  it('reads paths of 20,000 hostile characters to their end', () => {
    for (const part of ['%25', '/..', '//', '/%2e%2e%2f', ';', '\\', '/a', '/./', '%2561']) {
      readPath(`/${part.repeat(20_000 / part.length)}!`)
    }
  })
})
