/**
 * Both peers of many short tunnels. The path of a request says what becomes of its tunnel, so that the upstream knows:
 * `/WHO/HOW/UP/DOWN` is ended by WHO (client, upstream) in the way of HOW, after UP and DOWN bytes.
 */

import { once } from 'node:events'
import net from 'node:net'

/** `fin` and `reset` come when everything has arrived, `cut` is a reset in the middle of it. */
const HOW = ['fin', 'reset', 'cut'] as const
const WHO = ['client', 'upstream'] as const
const BYTES_MAX = 16_384

interface Plan {
  readonly who: (typeof WHO)[number]
  readonly how: (typeof HOW)[number]
  readonly up: number
  readonly down: number
}

const payload = Buffer.alloc(BYTES_MAX, 'storm ')
const SWITCHING = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'

function randomPlan(): Plan {
  const one = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)] as T
  const bytes = (): number => 1 + Math.floor(Math.random() * (BYTES_MAX - 1))
  return { who: one(WHO), how: one(HOW), up: bytes(), down: bytes() }
}

function readPlan(requestLine: string): Plan {
  const [, who, how, up, down] = requestLine.split(' ')[1]?.split('/') ?? []
  return { who, how, up: Number(up), down: Number(down) } as Plan
}

/** One end of a tunnel behind the heads: sends its bytes, waits for those of the other one, and ends as planned. */
class End {
  readonly #socket: net.Socket
  readonly #plan: Plan
  readonly #isOurs: boolean
  readonly #wanted: number
  #received = 0

  constructor(socket: net.Socket, plan: Plan, side: Plan['who']) {
    this.#socket = socket
    this.#plan = plan
    this.#isOurs = plan.who === side
    this.#wanted = side === 'client' ? plan.down : plan.up
    socket.write(payload.subarray(0, side === 'client' ? plan.up : plan.down))
  }

  read(bytes: number): void {
    this.#received += bytes
    if (!this.#isOurs || (this.#plan.how !== 'cut' && this.#received < this.#wanted)) return
    if (this.#plan.how === 'fin') this.#socket.end()
    else this.#socket.resetAndDestroy()
  }

  /** Whether what came is what the plan says. How much comes before somebody else's reset is open. */
  isWhole(): boolean {
    const isOpen = this.#plan.how === 'cut' || (this.#plan.how === 'reset' && !this.#isOurs)
    return isOpen || this.#received === this.#wanted
  }
}

/** Reads a head from a socket, then hands its bytes to the end that `begin` makes of it. */
function afterHead(
  socket: net.Socket,
  begin: (head: string) => End,
  done: (end: End | undefined, head: string) => void,
): void {
  let head = ''
  let end: End | undefined
  socket.on('data', (chunk: Buffer) => {
    if (end !== undefined) {
      end.read(chunk.length)
      return
    }
    const before = head.length
    head += chunk.toString('latin1')
    const length = head.indexOf('\r\n\r\n') + 4
    if (length < 4) return
    end = begin(head.slice(0, length))
    end.read(before + chunk.length - length)
  })
  socket.on('end', () => socket.end())
  // A reset is in half of the plans; what has arrived is looked at.
  socket.on('error', () => {})
  socket.on('close', () => done(end, head))
}

export interface StormUpstream extends AsyncDisposable {
  readonly urls: readonly string[]
  /** Connections that are open. */
  open(): number
  /** What was not as planned. */
  readonly faults: readonly string[]
}

/** On several addresses, so that there are ports enough for the gateway's connections, which linger after their end. */
export async function stormUpstream(addresses: readonly string[]): Promise<StormUpstream> {
  const faults: string[] = []
  const sockets = new Set<net.Socket>()
  const onConnection = (socket: net.Socket): void => {
    sockets.add(socket)
    const begin = (head: string): End => {
      socket.write(SWITCHING)
      return new End(socket, readPlan(head), 'upstream')
    }
    afterHead(socket, begin, (end, head) => {
      sockets.delete(socket)
      if (end === undefined || !end.isWhole()) faults.push(`upstream: ${head.split('\r\n')[0]}`)
    })
  }
  const servers = await Promise.all(
    addresses.map(async (address) => {
      const server = net.createServer({ allowHalfOpen: true }, onConnection)
      server.listen({ port: 0, host: address, backlog: 1024 })
      await once(server, 'listening')
      return server
    }),
  )
  return {
    urls: servers.map((server) => {
      const { address, port } = server.address() as net.AddressInfo
      return `http://${address}:${port}`
    }),
    faults,
    open: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      for (const server of servers) {
        server.close()
        await once(server, 'close')
      }
    },
  }
}

/** Opens a tunnel from `localAddress` and lives it to its end. Returns what was not as planned. */
export function stormClient(port: number, localAddress: string): Promise<string | undefined> {
  const plan = randomPlan()
  const path = `/${plan.who}/${plan.how}/${plan.up}/${plan.down}`
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true })
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`)
    const begin = (): End => new End(socket, plan, 'client')
    afterHead(socket, begin, (end, head) => {
      const isFine = head.startsWith('HTTP/1.1 101 ') && end?.isWhole() === true
      resolve(isFine ? undefined : `client: ${path}: ${JSON.stringify(head)}`)
    })
  })
}
