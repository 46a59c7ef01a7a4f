import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'

import { loadConfig } from '../../src/config/load.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { fixtures, loadText, problemsIn, withRoute } from './load-text.ts'

function messageOf(file: string): string {
  try {
    loadConfig(file, {})
    return ''
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.message
  }
}

function inFolder(run: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'upgate-load-'))
  try {
    run(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('loadConfig', () => {
  it('tells every mistake of a file with its place and a picture', () => {
    const file = join(fixtures, 'mistakes.yaml')
    const expected = readFileSync(join(fixtures, 'mistakes.txt'), 'utf8')
    const message = messageOf(file)
      .replaceAll(file, 'mistakes.yaml')
      .replaceAll(fixtures, 'FIXTURES')
    assert.equal(`${message}\n`, expected)
  })

  it('shows no secret of the file', () => {
    assert.doesNotMatch(messageOf(join(fixtures, 'mistakes.yaml')), /hunter2/)
  })

  it('tells when there is no such file', () => {
    assert.equal(
      messageOf('/nowhere/upgate.yaml'),
      '/nowhere/upgate.yaml: cannot be read: there is no such file',
    )
  })

  it('tells when the file is a directory', () => {
    assert.equal(messageOf(fixtures), `${fixtures}: cannot be read: it is a directory`)
  })

  it('refuses a named pipe and a device at once', () => {
    inFolder((folder) => {
      const pipe = join(folder, 'pipe')
      execFileSync('mkfifo', [pipe])
      assert.equal(
        messageOf(pipe),
        `${pipe}: cannot be read: it is a named pipe; expected a regular file`,
      )
      assert.deepEqual(problemsIn(withRoute(`auth: { a: { type: basic, users: ${pipe} } }`)), [
        `1:34: auth.a.users: ${pipe} cannot be read: it is a named pipe; expected a regular file`,
      ])
    })
    assert.equal(
      messageOf('/dev/zero'),
      '/dev/zero: cannot be read: it is a device; expected a regular file',
    )
  })

  it('tells the line of what is not UTF-8', () => {
    inFolder((folder) => {
      const file = join(folder, 'a.yaml')
      writeFileSync(file, Buffer.from('log: {}\n# f\u00fcr\n', 'latin1'))
      assert.equal(
        messageOf(file),
        `${file}:2:4: this is not UTF-8; save the file as UTF-8\n  2 | # f\ufffdr\n    |    ^`,
      )
      writeFileSync(file, Buffer.from('\ufefflog: {}\n', 'utf16le'))
      assert.equal(messageOf(file), `${file}: is UTF-16; save it as UTF-8`)
    })
  })

  it('resolves files from the folder of the config file', () => {
    const config = loadText(
      'auth: { a: { type: basic, users: "${FIXTURES}/../config/users.htpasswd" } }\nroutes: [{ upstream: "builtin:echo" }]',
    )
    const check = config.auth.get('a')
    assert.equal(check?.type === 'basic' && check.users, join(fixtures, 'users.htpasswd'))
  })

  it('freezes what it gives, maps included', () => {
    const config = loadText(withRoute(''))
    assert.throws(() => Object.assign(config.log, { level: 'debug' }), TypeError)
    assert.throws(() => (config.upstreams as Map<string, unknown>).clear(), TypeError)
    assert.throws(() => (config.upstreams as Map<string, unknown>).set('a', 1), TypeError)
    assert.throws(() => (config.upstreams as Map<string, unknown>).delete('route-1'), TypeError)
    assert.equal(Object.isFrozen(config.upstreams.get('route-1')?.endpoints[0]), true)
  })
})

describe('YAML', () => {
  const cases: [name: string, yaml: string, problems: string[]][] = [
    [
      'wants a map',
      '',
      [
        '1:1: expected a map with keys of listeners, admin, log, trustedProxies, forwarded, via, shutdown, reload, relay, defaults, upstreams, auth, routes; got nothing',
      ],
    ],
    [
      'wants a map, not a list',
      '- a',
      [
        '1:1: expected a map with keys of listeners, admin, log, trustedProxies, forwarded, via, shutdown, reload, relay, defaults, upstreams, auth, routes; got a list',
      ],
    ],
    [
      'wants routes',
      'log: { level: info }',
      [
        '1:1: routes: missing; expected a list of routes, such as [{ upstream: "http://localhost:3000" }]',
      ],
    ],
    [
      'wants at least one route',
      'routes: []',
      ['1:9: routes: expected a list of routes, such as [{ upstream: "http://localhost:3000" }]'],
    ],
    [
      'tells an empty key',
      'routes:\n',
      [
        '1:8: routes: expected a list of routes, such as [{ upstream: "http://localhost:3000" }]; got nothing',
      ],
    ],
    [
      'refuses a key that is there twice',
      withRoute('log: { level: info }\nlog: {}'),
      ['2:1: this key is there twice'],
    ],
    [
      'refuses tabs',
      'log:\n\tlevel: info',
      ['2:1: not valid YAML: Tabs are not allowed as indentation; indent with spaces'],
    ],
    [
      'refuses two documents',
      `${withRoute('')}---\na: 1`,
      ['3:1: a second document (---) begins here; expected only one'],
    ],
    [
      'refuses unknown tags',
      withRoute('log: !!js/function {}'),
      ['1:6: not valid YAML: Unresolved tag: tag:yaml.org,2002:js/function'],
    ],
    [
      'refuses keys that are no text',
      withRoute('[a]: b'),
      ['1:1: not valid YAML: With stringKeys, all keys must be strings'],
    ],
    [
      'refuses an alias without an anchor',
      withRoute('log: *nope'),
      ['1:6: there is no &nope before this alias'],
    ],
    [
      'refuses too many aliases',
      withRoute(bomb()),
      ['5:8: there may be at most 100 aliases (*name)'],
    ],
    [
      'tells the first of the errors that follow from each other',
      'a: { b: [c }\nd: e\n',
      [
        '1:12: not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
      ],
    ],
    [
      'says that variables need quotes between brackets',
      withRoute('trustedProxies: [${PROXY}]'),
      [
        '1:19: not valid YAML: Missing , or : between flow sequence items; between [ ] and { }, ${NAME} has to stand in quotes: "${NAME}"',
      ],
    ],
    [
      'has no merge keys',
      withRoute('log: { <<: { level: info } }'),
      ['1:8: log["<<"]: unknown key; known here: level, format'],
    ],
    [
      'takes __proto__ for an unknown key',
      withRoute('log: { __proto__: { level: warn } }'),
      ['1:8: log.__proto__: unknown key; known here: level, format'],
    ],
  ]
  for (const [name, yaml, problems] of cases) {
    it(name, () => assert.deepEqual(problemsIn(yaml), problems))
  }

  it('reads YAML 1.2: off, no and yes are text', () => {
    assert.equal(loadText(withRoute('admin: off')).admin, undefined)
    assert.deepEqual(problemsIn('routes: [{ upstream: "builtin:echo", http: no }]'), [
      '1:44: routes[0].http: expected true or false',
    ])
  })

  it('finds a value through an alias where it is written', () => {
    const yaml = 'routes:\n  - &a { name: a, match: { path: /a }, upstream: x }\n  - *a\n'
    assert.deepEqual(problemsIn(yaml), [
      '2:16: routes[1].name: the name "a" is taken already by routes[0]',
      '2:50: routes[0].upstream: no upstream is named "x"; there are none',
      '2:50: routes[1].upstream: no upstream is named "x"; there are none',
      '3:5: routes[1]: can never match: routes[0] (a) takes all of its requests; put this route first',
    ])
  })

  it('ignores a byte order mark and reads CRLF', () => {
    assert.equal(
      loadText('\ufefflog:\r\n  level: warn\r\nroutes:\r\n  - upstream: builtin:echo\r\n').log
        .level,
      'warn',
    )
  })
})

describe('the environment', () => {
  it('gives durations, sizes, numbers, switches and text', () => {
    const yaml = `
relay: { bufferBytes: "\${SIZE}" }
upstreams: { a: { endpoints: [{ url: "http://\${HOST}:1", weight: "\${W}" }] } }
routes:
  - upstream: a
    http: \${HTTP}
    limits: { tunnels: "\${MAX:-off}" }
    timeouts: { idle: "\${IDLE}" }
`
    const config = loadText(yaml, { SIZE: '8192', HOST: 'h', W: '3', HTTP: 'false', IDLE: '5m' })
    assert.equal(config.relay.bufferBytes, 8192)
    assert.deepEqual(config.upstreams.get('a')?.endpoints, [
      {
        url: 'http://h:1',
        address: { kind: 'tcp', host: 'h', port: 1 },
        tls: false,
        weight: 3,
        http2: false,
      },
    ])
    assert.equal(config.routes[0]?.http, false)
    assert.equal(config.routes[0].limits.tunnels, Infinity)
    assert.equal(config.routes[0].timeouts.idleMs, 300_000)
  })

  it('can put no structure into the file', () => {
    const yaml = withRoute('log:\n  level: ${LEVEL}')
    assert.deepEqual(problemsIn(yaml, { LEVEL: 'info\nadmin: off' }), [
      '2:10: log.level: expected trace, debug, info, warn, error or silent',
    ])
  })

  it('tells each name that is not set once, and nothing that follows from it', () => {
    const yaml = withRoute(
      'shutdown: { drain: "${A}" }\nauth: { a: { type: basic, users: "${B}/${C}" } }',
    )
    assert.deepEqual(problemsIn(yaml), [
      '1:20: shutdown.drain: the environment has no A; set it, or write ${A:-default}',
      '2:34: auth.a.users: the environment has no B; set it, or write ${B:-default}',
      '2:34: auth.a.users: the environment has no C; set it, or write ${C:-default}',
    ])
  })

  it('is not put into keys', () => {
    assert.deepEqual(problemsIn(withRoute('"${A}": 1'), { A: 'log' }), [
      '1:1: ["${A}"]: unknown key; known here: listeners, admin, log, trustedProxies, forwarded, via, shutdown, reload, relay, defaults, upstreams, auth, routes',
    ])
  })
})

/** Each list holds the one before ten times. */
function bomb(): string {
  const lists = Array.from({ length: 9 }, (_, index) => {
    const inner = index === 0 ? 'x' : `*a${index - 1}`
    return `- &a${index} [${Array.from({ length: 10 }, () => inner).join(', ')}]`
  })
  return `x:\n${lists.join('\n')}`
}
