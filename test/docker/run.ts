/**
 * Builds the image, runs it the way it is meant to be run, and brings up the compose file with it. Needs Docker with
 * compose, and leaves nothing behind but base images and the build cache.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const image = `upgate:test-${process.pid}`
const project = `upgate-test-${process.pid}`
const hardened = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges']

/** For what starts in other processes: how long it may take at most. */
const WAIT_MS = 60_000

/** Runs docker and returns its standard output; rejects when it fails. */
async function docker(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const child = spawn('docker', args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const code = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const [output, errors, status] = await Promise.all([text(child.stdout), text(child.stderr), code])
  if (status !== 0)
    throw new Error(`docker ${args.join(' ')} ended with ${status}\n${errors}${output}`)
  return output.trim()
}

function compose(...args: string[]): Promise<string> {
  const env = {
    UPGATE_IMAGE: image,
    UPGATE_PORT: '0',
    UPGATE_ADMIN_PORT: '0',
    PROMETHEUS_PORT: '0',
  }
  return docker(['compose', '-p', project, ...args], env)
}

/** Asks again until `isEnough`, since another process brings it about. */
async function eventually<T>(ask: () => Promise<T>, isEnough: (value: T) => boolean): Promise<T> {
  const deadline = performance.now() + WAIT_MS
  for (;;) {
    const value = await ask()
    if (isEnough(value)) return value
    assert.ok(performance.now() < deadline, `still ${JSON.stringify(value)}`)
    await delay(500)
  }
}

/** Resolves with the host and port of the host under which a container's port is published. */
async function published(container: string, port: number): Promise<string> {
  const [first = ''] = (await docker(['port', container, `${port}/tcp`])).split('\n')
  return first
}

async function openSocket(address: string): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${address}/`)
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', () => reject(new Error('the WebSocket did not open')))
  })
  return socket
}

async function echo(socket: WebSocket, message: string): Promise<string> {
  const answered = new Promise<string>((resolve, reject) => {
    socket.addEventListener('message', (event) => resolve(String(event.data)), { once: true })
    socket.addEventListener('close', () => reject(new Error('the WebSocket was closed')), {
      once: true,
    })
  })
  socket.send(message)
  return answered
}

function closed(socket: WebSocket): Promise<{ readonly code: number; readonly reason: string }> {
  return new Promise((resolve) => socket.addEventListener('close', resolve))
}

function inspect(container: string, format: string): Promise<string> {
  return docker(['inspect', '-f', format, container])
}

before(async () => {
  await docker(['build', '-t', image, '.'])
})

after(async () => {
  await docker(['rmi', '-f', image])
})

describe('the image', () => {
  let container = ''

  before(async () => {
    container = await docker([
      'run',
      '-d',
      ...hardened,
      '-p',
      '127.0.0.1::8080',
      '-e',
      'UPGATE_DRAIN=2s',
      image,
    ])
  })

  after(async () => {
    await docker(['rm', '-f', container])
  })

  it('holds the program and its dependencies, and no tools', async () => {
    const list = await docker([
      'run',
      '--rm',
      '--entrypoint',
      'ls',
      image,
      '/app',
      '/app/node_modules',
    ])
    const names = new Set(list.split('\n'))
    for (const name of ['build', 'dist', 'package.json', 'pino', 'prom-client'])
      assert.ok(names.has(name), name)
    for (const name of ['src', 'native', 'test', 'typescript', 'node', 'oxlint'])
      assert.ok(!names.has(name), name)
    await assert.rejects(docker(['run', '--rm', '--entrypoint', 'npm', image, '--version']))
  })

  it('tells its version, and finds nothing wrong with its own configuration', async () => {
    assert.match(await docker(['run', '--rm', image, '--version']), /^upgate \d+\.\d+\.\d+/)
    await docker(['run', '--rm', ...hardened, image, 'check'])
  })

  it('holds the native relay, and takes it', async () => {
    const load = ['-p', "typeof require('/app/build/relay.node')"]
    assert.equal(
      await docker(['run', '--rm', ...hardened, '--entrypoint', 'node', image, ...load]),
      'object',
    )
    const log = await eventually(
      () => docker(['logs', container]),
      (lines) => lines.includes('"msg":"ready"'),
    )
    assert.match(log, /"relay":"native".*"msg":"ready"/)
  })

  it('becomes healthy as a user without rights on a read-only file system', async () => {
    await eventually(
      () => inspect(container, '{{.State.Health.Status}}'),
      (status) => status === 'healthy',
    )
    assert.equal(await docker(['exec', container, 'id', '-u']), '1000')
    await assert.rejects(docker(['exec', container, 'touch', '/app/written']))
  })

  it('echoes through a WebSocket, drains when it is stopped, and exits with 0', async () => {
    const socket = await openSocket(await published(container, 8080))
    assert.equal(await echo(socket, 'hello'), 'hello')
    const end = closed(socket)
    const startMs = performance.now()
    await docker(['stop', '-t', '30', container])
    const tookMs = performance.now() - startMs
    const { code, reason } = await end
    assert.deepEqual([code, reason], [1001, 'going away'])
    assert.equal(await inspect(container, '{{.State.ExitCode}} {{.State.OOMKilled}}'), '0 false')
    // It leaves when its last tunnel has, and does not wait for a SIGKILL.
    assert.ok(tookMs < 15_000, `${tookMs} ms`)
    const log = await docker(['logs', container])
    assert.match(log, /"by":"gateway","reason":"drain".*"msg":"tunnel close"/)
  })
})

describe('the compose file', () => {
  let standIn: string | undefined

  before(async () => {
    standIn = await standInForPrometheus()
    await compose('up', '-d', '--wait', '--wait-timeout', '120')
  })

  after(async () => {
    await compose('down', '-v', '--remove-orphans', '-t', '5')
    if (standIn !== undefined) await docker(['rmi', '-f', standIn])
  })

  it('carries a WebSocket through the gateway to the echo upstream, and Prometheus sees it', async () => {
    const prometheus = await compose('port', 'prometheus', '9090')
    const socket = await openSocket(await compose('port', 'gateway', '8080'))
    assert.equal(await echo(socket, 'through both'), 'through both')
    await eventually(
      () => query(prometheus, 'up{job="upgate"}'),
      (value) => value === '1',
    )
    await eventually(
      () => query(prometheus, 'sum(upgate_tunnels_open{endpoint="http://echo:8080"})'),
      (value) => value === '1',
    )
    const end = closed(socket)
    socket.close()
    await end
    await eventually(
      () => query(prometheus, 'sum(upgate_tunnels_open)'),
      (value) => value === '0',
    )
  })
})

/** The first value of an instant query; undefined where there is none. */
async function query(prometheus: string, expression: string): Promise<string | undefined> {
  const answer = await fetch(
    `http://${prometheus}/api/v1/query?query=${encodeURIComponent(expression)}`,
  )
  const { data } = (await answer.json()) as { data: { result: { value: [number, string] }[] } }
  return data.result[0]?.value[1]
}

/** Makes an image under the name that the compose file asks for, where that one is not there and cannot be pulled. */
async function standInForPrometheus(): Promise<string | undefined> {
  const name = (await compose('config', '--images'))
    .split('\n')
    .find((line) => line.includes('prometheus'))
  assert.ok(name !== undefined)
  const isThere = await docker(['image', 'inspect', name]).then(
    () => true,
    () => false,
  )
  if (isThere) return undefined
  try {
    await docker(['pull', '-q', name])
    return undefined
  } catch {
    await docker([
      'build',
      '-t',
      name,
      '-f',
      'test/docker/prometheus-stand-in.Dockerfile',
      'test/docker',
    ])
    return name
  }
}
