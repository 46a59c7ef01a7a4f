/** node http-proxy-3.mjs PORT UPSTREAM_PORT [TLS_PORT CERTIFICATE_FILE KEY_FILE] */
import { readFileSync } from 'node:fs'
import { Agent, createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createProxyServer } from 'http-proxy-3'

const [port, upstreamPort, tlsPort, certificateFile, keyFile] = process.argv.slice(2)
const agent = new Agent({ keepAlive: true })
const proxy = createProxyServer({ target: `http://127.0.0.1:${upstreamPort}`, agent, xfwd: true })
proxy.on('error', (_error, _request, to) => to?.destroy())

function serve(server, onPort) {
  server.on('request', (request, response) => proxy.web(request, response))
  server.on('upgrade', (request, socket, head) => proxy.ws(request, socket, head))
  server.listen(Number(onPort), '127.0.0.1')
}

serve(createServer(), port)
if (tlsPort !== undefined) {
  const [cert, key] = [readFileSync(certificateFile), readFileSync(keyFile)]
  serve(createTlsServer({ cert, key, minVersion: 'TLSv1.3' }), tlsPort)
}
