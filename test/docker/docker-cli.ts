/**
 * The docker CLI against an engine behind the gateway. It needs the CLI, an engine (DOCKER_HOST, or the default socket)
 * and the image below; without one of them the tests are skipped, in CI too: not every machine may run an engine.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { runProgram, RunningProgram, type Exit } from '../support/programs.ts'

const IMAGE = 'debian:bookworm-slim'
const ENGINE = process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock'

/** Why these tests cannot run here; false when they can. */
function missing(): string | false {
  const version = spawnSync('docker', ['version'], { stdio: 'ignore' })
  if (version.error !== undefined) return 'the docker CLI is not installed'
  if (version.status !== 0) return `no docker engine answers at ${ENGINE}`
  if (!/^(?:unix|tcp):/.test(ENGINE)) return `${ENGINE} is not an address for a route`
  const image = spawnSync('docker', ['image', 'inspect', IMAGE], { stdio: 'ignore' })
  return image.status === 0 ? false : `the image ${IMAGE} is not there (docker pull ${IMAGE})`
}

/** A gateway in front of the engine, as a user would write its route. */
function engineGateway(): Promise<TestGateway> {
  const upstream = ENGINE.replace(/^tcp:/, 'http:').replace(/^unix:\/\//, 'unix:')
  return startTestGateway(
    `routes: [{ name: docker, upgrade: [tcp, h2c], http: true, upstream: "${upstream}" }]`,
  )
}

/** Through the gateway. */
function docker(
  gateway: TestGateway,
  args: readonly string[],
  input: string | Buffer = '',
): Promise<Exit> {
  return runProgram('docker', ['-H', `tcp://127.0.0.1:${gateway.port}`, ...args], { input })
}

interface Container extends AsyncDisposable {
  readonly id: string
}

/** Made by the engine itself, and removed afterwards. `args` are those of `docker create` or `docker run -d`. */
async function container(args: readonly string[]): Promise<Container> {
  const made = await runProgram('docker', args)
  assert.equal(made.code, 0, made.stderr)
  const id = made.stdout.trim()
  return {
    id,
    async [Symbol.asyncDispose]() {
      await runProgram('docker', ['rm', '--force', id])
    },
  }
}

describe('the docker CLI through the gateway', { skip: missing() }, () => {
  it('runs exec -i with the input and the output of the command', async () => {
    await using gateway = await engineGateway()
    await using sleeper = await container(['run', '--detach', IMAGE, 'sleep', 'infinity'])
    const hi = await docker(gateway, ['exec', '-i', sleeper.id, 'cat'], 'hi\n')
    assert.deepEqual([hi.stdout, hi.stderr, hi.code], ['hi\n', '', 0])
    const tunnel = await gateway.log('tunnel close')
    assert.deepEqual(
      [tunnel['protocol'], tunnel['method'], tunnel['reason'], tunnel['bytesUp']],
      ['tcp', 'POST', 'eof', 3],
    )

    const failing = await docker(
      gateway,
      ['exec', '-i', sleeper.id, 'sh', '-c', 'cat; echo wrong >&2; exit 7'],
      'the output',
    )
    assert.deepEqual([failing.stdout, failing.stderr, failing.code], ['the output', 'wrong\n', 7])

    const silent = await docker(gateway, ['exec', sleeper.id, 'echo', 'no input'])
    assert.deepEqual([silent.stdout, silent.code], ['no input\n', 0])
  })

  it('runs exec -i with 8 MiB both ways unchanged', async () => {
    await using gateway = await engineGateway()
    await using sleeper = await container(['run', '--detach', IMAGE, 'sleep', 'infinity'])
    const text = randomBytes(4 * 1024 * 1024).toString('hex')
    const echoed = await docker(gateway, ['exec', '-i', sleeper.id, 'cat'], text)
    assert.equal(echoed.code, 0)
    assert.ok(echoed.stdout === text, `${echoed.stdout.length} characters came back`)
  })

  it('runs run --rm -i with a megabyte of input and the exit status of the command', async () => {
    await using gateway = await engineGateway()
    const counted = await docker(
      gateway,
      ['run', '--rm', '-i', IMAGE, 'sh', '-c', 'cat | wc -c; exit 3'],
      Buffer.alloc(1_000_000, 'x'),
    )
    assert.deepEqual([counted.stdout, counted.code], ['1000000\n', 3])
  })

  it('follows logs to their end', async () => {
    await using gateway = await engineGateway()
    await using talker = await container([
      'run',
      '--detach',
      '--interactive',
      IMAGE,
      'sh',
      '-c',
      'echo first; read line; echo last >&2',
    ])
    await using following = new RunningProgram('docker', [
      '-H',
      `tcp://127.0.0.1:${gateway.port}`,
      'logs',
      '--follow',
      talker.id,
    ])
    // Each line arrives when it is written, not when the answer ends.
    await following.output(/first\n/)
    const attached = await docker(gateway, ['attach', talker.id], 'go on\n')
    assert.equal(attached.code, 0)
    const { stdout, stderr, code } = await following.exited
    assert.deepEqual([stdout, stderr, code], ['first\n', 'last\n', 0])
  })

  it('attaches to a container and ends with its status', async () => {
    await using gateway = await engineGateway()
    await using reader = await container([
      'create',
      '--interactive',
      IMAGE,
      'sh',
      '-c',
      'read line; echo "got $line"; exit 5',
    ])
    assert.equal((await docker(gateway, ['start', reader.id])).code, 0)
    const attached = await docker(gateway, ['attach', reader.id], 'a word\n')
    assert.deepEqual([attached.stdout, attached.code], ['got a word\n', 5])
  })

  it('starts a container attached, and passes the end of the input on to it', async () => {
    await using gateway = await engineGateway()
    await using cat = await container(['create', '--interactive', IMAGE, 'cat'])
    const started = await docker(gateway, ['start', '--attach', '--interactive', cat.id], 'to cat')
    assert.deepEqual([started.stdout, started.code], ['to cat', 0])
  })

  it('builds an image over the h2c session of BuildKit', async () => {
    await using gateway = await engineGateway()
    const built = await docker(
      gateway,
      ['build', '--progress=plain', '--no-cache', '--output=type=cacheonly', '-'],
      `FROM ${IMAGE}\nRUN echo built behind a gateway\n`,
    )
    assert.equal(built.code, 0, built.stderr)
    assert.match(built.stderr, /built behind a gateway/)
    await gateway.log('tunnel open', { protocol: 'h2c' })
  })
})
