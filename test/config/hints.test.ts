import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { formatDuration } from '../../src/config/scalars.ts'
import { loadText, problemsIn } from './load-text.ts'

function textOf(yaml: string): string {
  const problems = problemsIn(yaml)
  assert.equal(problems.length, 1, problems.join('\n'))
  return String(problems[0])
}

function route(more: string): string {
  return `routes: [{ upstream: "http://a:1", ${more} }]`
}

const kinds: readonly (readonly [
  kind: string,
  yaml: (value: string) => string,
  hints: Readonly<Record<string, RegExp>>,
])[] = [
  [
    'a duration',
    (value) => route(`timeouts: { idle: ${value} }`),
    {
      60: /; write 60s; got a number$/,
      60000: /; write 60000ms; got a number$/,
      '"60"': /; write 60s$/,
      '1.5h': /; write 90m$/,
      '5 min': /; write 5m$/,
      '60sec': /; write 60s$/,
      '30m1h': /, or off$/,
      0: /, or off; got a number$/,
    },
  ],
  [
    'a size',
    (value) => `relay: { bufferBytes: ${value} }\n${route('')}`,
    { '64kb': /; write 64KiB$/, '1M': /; write 1MiB$/, '64 KiB': /; write 64KiB$/ },
  ],
  [
    'a path',
    (value) => route(`match: { path: ${value} }`),
    {
      '/ws/*': /; a path is a prefix already: write \/ws$/,
      '/ws/**': /; a path is a prefix already: write \/ws$/,
      '/ws/.*': /; a path is a prefix already: write \/ws$/,
      '/*': /; leave it out for every path$/,
      '"/api/{id}"': /; for placeholders write \{ regex: "\/api\/\[\^\/\]\+" \}$/,
      '"/api/{id}/x"': /write \{ regex: "\/api\/\[\^\/\]\+\/x" \}$/,
      '/api/:id': /; for placeholders write \{ regex: "\/api\/\[\^\/\]\+" \}$/,
      '{ exact: /ws/* }': /; a path is a prefix already: write \/ws$/,
      '"/a/*/b"': /; for patterns write \{ regex: ... \}$/,
    },
  ],
  [
    'a prefix that is removed',
    (value) => route(`rewrite: { stripPrefix: ${value} }`),
    { '/ws/*': /; a path is a prefix already: write \/ws$/ },
  ],
  [
    'a host',
    (value) => route(`match: { host: "${value}" }`),
    {
      '*.example.*': /; a \* stands for the first labels alone; list the hosts$/,
      'https://example.com/x': /; write example.com$/,
      'example.com:8080': /; write example.com: a route is for every port$/,
      'example.com/ws': /; write example.com, and the path in match.path$/,
      '.example.com': /; write "\*.example.com"$/,
      '::1': /; write "\[::1\]"$/,
    },
  ],
  [
    'an origin',
    (value) => route(`origins: ["${value}"]`),
    {
      'https://a.example/x': /; write https:\/\/a.example$/,
      'a.example': /; write https:\/\/a.example$/,
      '*': /; leave it out, or write off, for every origin$/,
      'https://*.a.example': /; there are no patterns; list the origins$/,
    },
  ],
  [
    'an endpoint',
    (value) => `routes: [{ upstream: "${value}" }]`,
    {
      'a:3000': /; write http:\/\/a:3000$/,
      '//a:3000': /; write http:\/\/a:3000$/,
      'http:/a:3000': /; write http:\/\/a:3000$/,
      'tcp://a:3000': /; write http:\/\/a:3000$/,
      '/run/app.sock': /; write unix:\/run\/app.sock$/,
      'http://unix:/run/app.sock': /; write unix:\/run\/app.sock$/,
      'http://::1:3000': /; write http:\/\/\[::1\]:3000$/,
      'http://a:1/x': /put a path in front of requests with rewrite.addPrefix$/,
      'http://u:hunter2@a:1': /^1:22: routes\[0\].upstream: credentials do not belong in a URL/,
      'http://a:99999': /expected a port from 1 to 65535$/,
    },
  ],
  [
    'an address',
    (value) => `listeners: [{ address: ${value} }]\n${route('')}`,
    {
      8080: /; write :8080; got a number$/,
      '"http://0.0.0.0:8080"': /; write 0.0.0.0:8080$/,
      '"*:8080"': /; write :8080$/,
      '"0.0.0.0"': /; write 0.0.0.0:8080$/,
    },
  ],
]

describe('what is told of a value says what would be right', () => {
  for (const [kind, yaml, hints] of kinds) {
    for (const [value, hint] of Object.entries(hints)) {
      it(`in place of ${value} for ${kind}`, () => assert.match(textOf(yaml(value)), hint))
    }
  }
})

describe('a duration in parts', () => {
  for (const [text, plain] of [
    ['1h30m', '90m'],
    ['1m30s', '90s'],
    ['1h5m10s', '3910s'],
    ['1d12h', '36h'],
    ['1s500ms', '1500ms'],
  ] as const) {
    it(`is their sum: ${text}`, () => {
      const [first] = loadText(route(`timeouts: { idle: ${text} }`)).routes
      assert.equal(formatDuration(first?.timeouts.idleMs ?? 0), plain)
    })
  }
  it('is at most 24d in all', () => {
    assert.match(textOf(route('timeouts: { idle: 23d25h }')), /must be at most 24d, or off$/)
  })
})

describe('what is told of YAML says what to do', () => {
  for (const [name, yaml, hint] of [
    ['tabs', 'routes:\n\t- upstream: http://a\n', /; indent with spaces$/],
    [
      'a host pattern',
      route('match: { host: *.a.b }'),
      /; a host pattern goes in quotes: "\*.a.b"$/,
    ],
    ['a star', route('origins: [*]'), /; a \* that is meant goes in quotes: "\*"$/],
    ['a reserved character', 'routes: [{ upstream: @a }]', /; put the text in quotes$/],
    ['a Windows path', 'log: { level: "C:\\users" }', /; a \\ that is meant goes in single quotes/],
    ['two keys on a line', 'log: level: info', /; begin a new line behind the first key$/],
    [
      'a colon without a blank',
      'routes:\n  - upstream:x\n',
      /; a blank belongs behind the colon of a key$/,
    ],
  ] as const) {
    it(`for ${name}`, () => assert.match(textOf(yaml), hint))
  }
})
