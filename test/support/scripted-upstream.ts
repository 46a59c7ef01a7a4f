/** An upstream that does what a test's script says with each connection, and nothing else. */

import { once } from 'node:events'
import net from 'node:net'
import { RawClient, SWITCHING } from './raw-client.ts'

export interface ScriptedUpstream extends AsyncDisposable {
  readonly port: number
  /** As an endpoint of the config. */
  readonly url: string
  /** Connections accepted so far. */
  readonly connections: number
  /** Waits until the gateway has let go of every connection that was accepted: FIN or reset. */
  quiet(): Promise<void>
}

/** `script` runs once for each connection; its failure is the test's. Connections live until they are closed or the upstream is disposed. */
export async function scriptedUpstream(
  script: (connection: RawClient, index: number) => Promise<void> | void,
): Promise<ScriptedUpstream> {
  const open = new Set<RawClient>()
  const held = new Set<RawClient>()
  const failures: unknown[] = []
  let connections = 0
  let isDisposed = false
  let onQuiet: (() => void) | undefined
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const connection = new RawClient(socket)
    open.add(connection)
    held.add(connection)
    const letGo = (): void => {
      held.delete(connection)
      if (held.size === 0) onQuiet?.()
    }
    socket.on('end', letGo)
    socket.on('close', () => {
      open.delete(connection)
      letGo()
    })
    const index = connections
    connections += 1
    Promise.resolve(script(connection, index)).catch((error: unknown) => {
      if (!isDisposed) failures.push(error)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    get connections() {
      return connections
    },
    async quiet() {
      if (held.size > 0) {
        await new Promise<void>((resolve) => {
          onQuiet = resolve
        })
      }
    },
    async [Symbol.asyncDispose]() {
      isDisposed = true
      const closed = once(server, 'close')
      server.close()
      for (const connection of open) await connection[Symbol.asyncDispose]()
      await closed
      if (failures.length > 0) throw failures[0]
    },
  }
}

/** Grants every upgrade, and ends when the client does. */
export function grantingUpstream(): Promise<ScriptedUpstream> {
  return scriptedUpstream(async (connection) => {
    await connection.head()
    connection.write(SWITCHING)
    await connection.rest()
    connection.socket.end()
  })
}
