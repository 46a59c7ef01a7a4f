/**
 * As much of a Kubernetes API server as `kubectl exec` asks for, with one pod. A command in it writes its input back and,
 * when its first argument is a number, complains and exits with that.
 */

import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'
import { SpdyServer } from './spdy.ts'

export interface KubernetesApi extends AsyncDisposable {
  /** As an endpoint of the config. */
  readonly url: string
  /** Of the upgrades: method, token and the subprotocols or stream protocols that were offered. */
  readonly execs: readonly string[]
}

/** Streams of remotecommand, by their channel in `v4.channel.k8s.io` and `v5.channel.k8s.io`. */
const STDIN = 0
const STDOUT = 1
const STDERR = 2
const ERROR = 3
/** v5 alone: the next byte is the channel that ends. */
const CLOSE = 255

export async function kubernetesApi(): Promise<KubernetesApi> {
  const execs: string[] = []
  const sockets = new Set<Socket>()
  const webSockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => [...offered][0] ?? false,
  })
  const server = http.createServer((request, response) => {
    const body = documents.get((request.url ?? '').replace(/\?.*/, ''))
    response.writeHead(body === undefined ? 400 : 200, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify(body ?? { kind: 'Status', apiVersion: 'v1', status: 'Failure' }))
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const { method, headers } = request
    const offered = headers['sec-websocket-protocol'] ?? headers['x-stream-protocol-version']
    execs.push(`${method} ${headers.upgrade} ${String(offered)}`)
    const exec = new Exec(new URL(request.url ?? '', 'http://api.test').searchParams)
    if (headers.upgrade === 'SPDY/3.1') execBySpdy(exec, socket, head)
    else webSockets.handleUpgrade(request, socket, head, (peer) => execByWebSocket(exec, peer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    execs,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

class Exec {
  readonly #stdin: Buffer[] = []
  readonly #exitCode: number
  /** In the order in which clients open their streams: those that the query asks for. */
  readonly channels: readonly number[]

  constructor(query: URLSearchParams) {
    this.#exitCode = Number(query.getAll('command')[1] ?? 0)
    const asked = (['stdin', 'stdout', 'stderr'] as const).map((name) => query.get(name) === 'true')
    this.channels = [ERROR, ...[STDIN, STDOUT, STDERR].filter((channel) => asked[channel])]
  }

  read(chunk: Buffer): void {
    this.#stdin.push(chunk)
  }

  /** What it writes when its input has ended, by channel. */
  output(): [channel: number, bytes: Buffer][] {
    const code = this.#exitCode
    const cause = { reason: 'ExitCode', message: String(code) }
    const failure = {
      status: 'Failure',
      reason: 'NonZeroExitCode',
      message: `exit status ${code}`,
      details: { causes: [cause] },
    }
    const status = { metadata: {}, ...(code === 0 ? { status: 'Success' } : failure) }
    return [
      [STDOUT, Buffer.concat(this.#stdin)],
      [STDERR, Buffer.from(code === 0 ? '' : 'wrong\n')],
      [ERROR, Buffer.from(JSON.stringify(status))],
    ]
  }
}

function execBySpdy(exec: Exec, socket: Socket, head: Buffer): void {
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
      'X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n',
  )
  const streams = new Map<number, number>()
  const finish = (): void => {
    for (const [channel, bytes] of exec.output()) {
      const stream = streams.get(channel)
      if (stream !== undefined) spdy.end(stream, bytes)
    }
  }
  const spdy = new SpdyServer(socket, {
    opened(stream) {
      streams.set(exec.channels[streams.size] as number, stream)
      if (streams.size === exec.channels.length && !exec.channels.includes(STDIN)) finish()
    },
    data(stream, bytes, isLast) {
      if (stream !== streams.get(STDIN)) return
      exec.read(bytes)
      if (isLast) finish()
    },
  })
  spdy.read(head)
}

function execByWebSocket(exec: Exec, peer: WebSocket): void {
  const finish = (): void => {
    for (const [channel, bytes] of exec.output()) {
      if (bytes.length > 0) peer.send(Buffer.concat([Buffer.from([channel]), bytes]))
    }
    peer.close(1000)
  }
  if (!exec.channels.includes(STDIN)) finish()
  peer.on('message', (message: Buffer) => {
    const [channel] = message
    if (channel === STDIN) exec.read(message.subarray(1))
    if (channel === CLOSE && message[1] === STDIN) finish()
  })
}

const pod = {
  kind: 'Pod',
  apiVersion: 'v1',
  metadata: { name: 'web', namespace: 'default' },
  spec: { containers: [{ name: 'app', image: 'app' }] },
  status: { phase: 'Running' },
}

const documents: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['/version', { major: '1', minor: '32', gitVersion: 'v1.32.4' }],
  ['/api', { kind: 'APIVersions', versions: ['v1'] }],
  ['/apis', { kind: 'APIGroupList', apiVersion: 'v1', groups: [] }],
  [
    '/api/v1',
    {
      kind: 'APIResourceList',
      groupVersion: 'v1',
      resources: [
        { name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['get'] },
        { name: 'pods/exec', namespaced: true, kind: 'PodExecOptions', verbs: ['create', 'get'] },
      ],
    },
  ],
  ['/api/v1/namespaces/default/pods/web', pod],
])
