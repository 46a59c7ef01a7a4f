/** The first bytes of a TLS client, without the rest of it. */

import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import tls from 'node:tls'

export async function clientHello(options: tls.ConnectionOptions = {}): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = tls.connect({ host: '127.0.0.1', port, ...options }).on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  const [hello] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return hello
}
