/**
 * The connections to a server that checks ask. They are made by `dial`, and what comes over them is read by the gateway's own
 * reader, as for endpoints.
 */

import type { ClientRequestArgs } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ServerAgent, ServerAgentOptions } from '../auth/ask.ts'
import { UpstreamTls } from '../balance/upstream-tls.ts'
import { Refusal } from '../errors.ts'
import { dial, type Place } from '../handshake/dial.ts'
import { DialError, FilteredAgent } from './filtered-agent.ts'

/** For `createChecks`. `url` has a host, and http or https for its scheme. */
export function serverAgent(url: URL, options: ServerAgentOptions): ServerAgent {
  return new DialingAgent(placeOf(url), options, options.idleMax > 0)
}

class DialingAgent extends FilteredAgent implements ServerAgent {
  readonly #place: Place
  readonly #options: ServerAgentOptions
  #fresh: DialingAgent | undefined

  constructor(place: Place, options: ServerAgentOptions, keepAlive: boolean) {
    const { connectionsMax, idleMax } = options
    super({ keepAlive, connectionsMax, idleMax })
    this.#place = place
    this.#options = options
  }

  get fresh(): DialingAgent {
    this.#fresh ??= new DialingAgent(this.#place, this.#options, false)
    return this.#fresh
  }

  override createConnection(
    { method = 'GET' }: ClientRequestArgs,
    onDone: (error: Error | null, socket?: Duplex) => void,
  ): undefined {
    dial(this.#place, this.#options, (result) => {
      if (result instanceof Refusal) {
        onDone(new DialError(result))
        return
      }
      this.filter(result, method)
      onDone(null, result)
    })
  }
}

function placeOf(url: URL): Place {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const isSecure = url.protocol === 'https:'
  const port = Number(url.port) || (isSecure ? 443 : 80)
  const address = { kind: 'tcp', host, port } as const
  if (!isSecure) return { address, local: undefined, tls: undefined }
  const files = { ca: undefined, cert: undefined, key: undefined }
  // Of endpoints this is a key in the config; here Node's own variable is all that there is.
  const insecure = process.env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0'
  const tls = new UpstreamTls({ ...files, minVersion: 'TLSv1.2', insecure })
  return { address, local: undefined, tls: tls.endpoint(host, { full: 0, resumed: 0 }) }
}
