/** TLS of an endpoint as a pool makes it, from PEM texts. */

import type { EndpointTls } from '../../src/balance/endpoint.ts'
import { UpstreamTls, type TlsSettings } from '../../src/balance/upstream-tls.ts'
import type { UpstreamTlsConfig } from '../../src/config/config.ts'

export interface TestTls extends Partial<TlsSettings> {
  readonly serverName: string
}

/** Of an upstream that says nothing about TLS. */
export const DEFAULT_TLS: UpstreamTlsConfig = {
  ca: undefined,
  serverName: undefined,
  cert: undefined,
  key: undefined,
  minVersion: 'TLSv1.2',
  insecure: false,
}

/** Without sessions; what is left out is as in a config. */
export function endpointTls({ serverName, ...settings }: TestTls): EndpointTls {
  const { ca, cert, key, minVersion, insecure } = DEFAULT_TLS
  const upstream = new UpstreamTls({ ca, cert, key, minVersion, insecure, ...settings })
  return upstream.endpoint(serverName, { full: 0, resumed: 0 })
}
