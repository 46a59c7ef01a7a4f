import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

import { apiDocument } from '../../src/admin/operations.ts'
import { jsonSchema } from '../../src/config/json-schema.ts'
import { fixtures } from '../config/load-text.ts'
import { startTestGateway } from '../support/gateway.ts'
import { handshake, rawClient } from '../support/raw-client.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const example = fileURLToPath(new URL('../../config/upgate.yaml', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'upgate-main-'))

after(() => rmSync(folder, { recursive: true }))

function start(words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return spawn(process.execPath, [main, ...words], {
    cwd: folder,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

async function upgate(words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const child = start(words, env)
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}

function configFile(name: string, yaml: string): string {
  const file = join(folder, name)
  writeFileSync(file, yaml)
  return file
}

describe('upgate', () => {
  it('prints its version', async () => {
    const file = new URL('../../package.json', import.meta.url)
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }
    assert.deepEqual(await upgate(['--version']), { code: 0, out: `upgate ${version}\n`, err: '' })
  })

  it('prints help with every command and an example', async () => {
    const { code, out, err } = await upgate(['--help'])
    assert.equal(code, 0)
    assert.equal(err, '')
    for (const word of ['upgate check', 'upgate schema', 'UPGATE_CONFIG', 'Example', 'SIGTERM']) {
      assert.ok(out.includes(word), word)
    }
  })

  it('prints the JSON Schema', async () => {
    const { code, out } = await upgate(['schema'])
    assert.equal(code, 0)
    assert.equal(out, `${JSON.stringify(jsonSchema(), null, 2)}\n`)
  })

  it('prints the OpenAPI document', async () => {
    const { code, out } = await upgate(['openapi'])
    assert.equal(code, 0)
    assert.equal(out, `${JSON.stringify(apiDocument(), null, 2)}\n`)
  })

  it('ends without a word when nobody reads what it prints', async () => {
    const child = start(['schema'])
    let err = ''
    child.stdout.destroy()
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    const [code] = (await once(child, 'close')) as [number | null]
    assert.deepEqual([code, err], [0, ''])
  })

  const isLinux = process.platform === 'linux'
  it(
    'exits with 1 and one line when what it prints cannot be written',
    {
      skip: !isLinux,
    },
    async () => {
      const full = openSync('/dev/full', 'w')
      const child = spawn(process.execPath, [main, 'schema'], { stdio: ['ignore', full, 'pipe'] })
      closeSync(full)
      assert.ok(child.stderr)
      let err = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
      const [code] = (await once(child, 'close')) as [number | null]
      assert.equal(code, 1)
      assert.match(err, /^upgate: standard output cannot be written: ENOSPC[^\n]*\n$/)
    },
  )

  it('prints what one command takes', async () => {
    const { code, out } = await upgate(['close', '--help'])
    assert.equal(code, 0)
    assert.match(out, /^upgate close ID[^]*--over TIME[^]*Examples\n/)
  })

  it('exits with 2 and a hint for a wrong command line', async () => {
    assert.deepEqual(await upgate(['chek']), {
      code: 2,
      out: '',
      err: 'upgate: there is no command "chek", did you mean check?\nupgate --help shows what there is.\n',
    })
  })
})

describe('upgate check', () => {
  it('says what a right file holds', async () => {
    assert.deepEqual(await upgate(['check', '-c', example]), {
      code: 0,
      out: `${example} is right: 1 route, 1 upstream, 0 auth checks; listens on 0.0.0.0:8080; admin on 127.0.0.1:9090\n`,
      err: '',
    })
  })

  it('reads the file that UPGATE_CONFIG names', async () => {
    const { code } = await upgate(['check'], { UPGATE_CONFIG: example })
    assert.equal(code, 0)
  })

  it('tells every problem and their number, and exits with 1', async () => {
    const file = configFile('wrong.yaml', 'log: { level: loud }\nroutes: [{ upstream: nobody }]\n')
    assert.deepEqual(await upgate(['check', '-c', file]), {
      code: 1,
      out: '',
      err: `${file}:1:15: log.level: expected trace, debug, info, warn, error or silent
  1 | log: { level: loud }
    |               ^
${file}:2:22: routes[0].upstream: no upstream is named "nobody"; there are none
  2 | routes: [{ upstream: nobody }]
    |                      ^
2 problems in ${file}
`,
    })
  })

  it('tells what is wrong in the files of the checks, and exits with 1', async () => {
    const file = configFile(
      'auth.yaml',
      `auth: { a: { type: basic, users: ${fixtures}/keys.txt } }\nroutes: [{ upstream: "builtin:echo" }]`,
    )
    const { code, out, err } = await upgate(['check', '-c', file])
    assert.equal(code, 1)
    assert.equal(out, '')
    assert.match(err, /keys\.txt/)
  })

  it('shows warnings, and exits with 0', async () => {
    const file = configFile(
      'expired.yaml',
      `listeners: [{ tls: { cert: ${fixtures}/tls/expired.pem, key: ${fixtures}/tls/key.pem } }]\nroutes: [{ upstream: "builtin:echo" }]`,
    )
    const { code, err } = await upgate(['check', '-c', file])
    assert.equal(code, 0)
    assert.match(err, /^warning: .*listeners\[0\]\.tls\.cert: the certificate expired on /)
  })

  it('tells where it looked for a file, and exits with 1', async () => {
    const { code, out, err } = await upgate(['check'])
    assert.equal(code, 1)
    assert.equal(out, '')
    assert.match(err, /^upgate: there is no config file: neither \.\/upgate\.yaml nor /)
  })
})

describe('upgate, asking a running gateway', () => {
  const yaml = 'routes: [{ name: chat, upstream: "builtin:echo" }]'

  it('shows and closes tunnels, and exits with 1 when none is meant', async () => {
    await using gateway = await startTestGateway(yaml)
    await using client = await rawClient(gateway.port)
    client.write(handshake('/room'))
    await client.head()
    const env = { UPGATE_ADMIN: `127.0.0.1:${gateway.adminPort}` }
    const listed = await upgate(['tunnels', '--route', 'chat'], env)
    assert.deepEqual([listed.code, listed.err], [0, ''])
    assert.match(listed.out, /^ID +AGE [^]* websocket +\/room\n1 tunnel: /)
    const asked = await upgate(['close', '--route', 'chat'], env)
    assert.equal(asked.code, 2)
    const closed = await upgate(['close', '--route', 'chat', '--yes'], env)
    assert.deepEqual(closed, { code: 0, out: 'closing 1 tunnel\n', err: '' })
    assert.equal((await upgate(['close', '--route', 'none', '--yes'], env)).code, 1)
  })

  it('says what a reload would change', async () => {
    await using gateway = await startTestGateway(yaml)
    const url = `http://127.0.0.1:${gateway.adminPort}`
    const { code, out } = await upgate(['check', '-c', example, '--diff', url])
    assert.equal(code, 0)
    assert.match(out, /is right:[^]* has another file than this one: [^]*would change nothing\n$/)
  })

  it('exits with 3 and a hint when there is none', async () => {
    const { code, out, err } = await upgate(['tunnels', '--admin', 'unix:/nonexistent.sock'])
    assert.deepEqual([code, out], [3, ''])
    assert.match(err, /^upgate: no gateway can be asked at unix:\/nonexistent\.sock: /)
  })

  it('watches until Ctrl-C, and exits with 0', async () => {
    await using gateway = await startTestGateway(yaml)
    const child = start(['tunnels', '--watch', '--admin', `127.0.0.1:${gateway.adminPort}`])
    const closed = once(child, 'close')
    let tables = 0
    child.stderr.resume()
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      assert.match(text, /^(?:no tunnel is open\n)+$/)
      tables += 1
      // It listens for Ctrl-C since it has printed the first one.
      if (tables === 2) child.kill('SIGINT')
    })
    assert.deepEqual(await closed, [0, null])
  })
})

describe('upgate run', () => {
  it('exits with 1 for a wrong file', async () => {
    const file = configFile('empty.yaml', 'routes: []\n')
    const { code, err } = await upgate(['-c', file])
    assert.equal(code, 1)
    assert.match(err, /routes: expected a list of routes/)
    assert.doesNotMatch(err, /problems in/)
  })

  it('exits with 1 and one message without a stack when the port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const file = configFile(
      'taken.yaml',
      `listeners: [{ address: "127.0.0.1:${port}" }]\nadmin: off\nlog: { level: silent }\nroutes: [{ upstream: "builtin:echo" }]`,
    )
    const { code, err } = await upgate(['-c', file])
    server.close()
    assert.equal(code, 1)
    assert.equal(
      err,
      `upgate: cannot listen on 127.0.0.1:${port} (listeners[0].address): the address is in use. Stop the program that uses it (ss -ltnp shows it), or choose another address.\n`,
    )
  })

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGUSR2'] as const) {
    it(`serves until ${signal}, whatever SIGUSR1 comes before, and exits with 0`, async () => {
      const sockets = mkdtempSync(join(folder, 'sockets-'))
      const file = configFile(
        'serve.yaml',
        `listeners: [{ address: "unix:${sockets}/a.sock" }]\nadmin: off\nroutes: [{ upstream: "builtin:echo" }]`,
      )
      const watcher = watch(sockets)
      const bound = once(watcher, 'change')
      const child = start(['run', '-c', file])
      const closed = once(child, 'close')
      await bound
      watcher.close()
      child.stdout.resume()
      let said = ''
      child.stderr.on('data', (text: Buffer) => (said += String(text)))
      child.kill('SIGUSR1')
      child.kill(signal)
      assert.deepEqual(await closed, [0, null])
      assert.equal(said, '')
    })
  }
})
